"""What the looked-at files make together: sources, a users table, files left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from events.nested import JOINT
from events.propose_column import Column
from events.propose_look import Look, LookupPlan, look_at, with_time_format
from events.propose_names import KEYS, USERS
from events.propose_paths import names_of, paths_of
from events.propose_roles import Roles, roles_of
from events.propose_words import words_of
from runtime.errors import InputError

MOST_LEVELS = 3  # of objects in objects
MOST_FIELDS = 60  # of a row with its objects opened: each is kept by its name
_OVERLAP, _NEARLY_ALL = 0.5, 0.95
_SHOWN = 20  # columns, and characters of a value


@dataclass
class SourcePlan:
    """Files of one layout that make one source."""

    name: str
    looks: list[Look]
    roles: Roles
    paths: list[str] = field(default_factory=list)

    @property
    def lookups(self) -> tuple[LookupPlan, ...]:
        return self.first.lookups

    @property
    def joined(self) -> bool:
        """Whether the user or the time of its rows stands in another file."""
        needed = {self.roles.user_id, self.roles.ts}
        return any(needed & set(one.adds) for one in self.lookups)

    @property
    def first(self) -> Look:
        return self.looks[0]

    def column(self, name: str | None) -> Column | None:
        return self.first.column(name) if name else None

    def values(self, name: str) -> pl.Series:
        return pl.concat([look.column(name).text for look in self.looks])

    @property
    def times(self) -> pl.Series:
        assert self.roles.ts is not None
        found = [look.column(self.roles.ts).times for look in self.looks]
        return pl.concat([times for times in found if times is not None])


@dataclass(frozen=True)
class Plan:
    sources: tuple[SourcePlan, ...]
    users: tuple[Look, str] | None  # and its column of user ids
    left_out: tuple[tuple[Look, str], ...]  # and why


def plan_files(looked: Sequence[tuple[Look, Roles]], folder: Path) -> Plan:
    """Raises InputError where no file is a log of events."""
    users = _users_table(looked)
    rest = [(look, roles) for look, roles in looked if users is None or look is not users[0]]
    by_name = any(roles.is_log and roles.user_by_name for _, roles in rest)
    logs, left_out = [], []
    for look, roles in rest:
        why = _why_no_log(look, roles, by_name)
        if why:
            left_out.append((look, roles, why))
        else:
            logs.append((look, roles))
    if not logs:
        look, _, why = max(left_out, key=lambda e: (e[1].user_by_name, e[0].rows))
        raise InputError(f"{look.path}: {why} (found {_values(look)}); {_remedy(look)}")
    return Plan(_grouped(logs, folder), users, tuple((look, why) for look, _, why in left_out))


def _why_no_log(look: Look, roles: Roles, others_by_name: bool) -> str | None:
    if roles.ts is None:
        return "no column of it looks like the time of an event"
    if roles.user_id is None or (others_by_name and look.header and not roles.user_by_name):
        return "no column of it looks like a user id"
    return None


def _values(look: Look) -> str:
    """The columns, each with a value."""
    shown = []
    for column in look.columns[:_SHOWN]:
        value = " ".join(str(column.text.drop_nulls().first() or "").split())
        shown.append(f"'{column.name}' {value[:_SHOWN]}".rstrip())
    more = len(look.columns) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _remedy(look: Look) -> str:
    if look.form == "csv" and len(look.columns) == 1:
        return "remove the lines before the table's header, or name a file with one row an event"
    return (
        "name a file with one row an event that says whose it is, and when in one column: a date "
        "like 2024-05-31, seconds since 1970, or a number of days; where the order of events alone "
        "is told, add such a column"
    )


def opened(look: Look) -> tuple[Look, Roles]:
    """The look and its roles; with its objects opened: all where that makes no more than
    MOST_FIELDS columns, else those in which some role is found, and those that they lie in."""
    roles = roles_of(look)
    objects, all_open = _all_opened(look)
    if not objects:
        return look, roles
    if len(all_open.columns) <= MOST_FIELDS:
        return all_open, roles_of(all_open)
    inside = roles_of(all_open)
    roles_found = (inside.ts, inside.user_id, inside.event, inside.amount, inside.event_id)
    named = [name for name in roles_found if name is not None]
    if inside.user_id is not None and not inside.user_by_name:
        named.remove(inside.user_id)
    needed = tuple(o for o in objects if any(name.startswith(o + JOINT) for name in named))
    if not needed:
        return look, roles
    look = look_at(look.path, needed, look.more)
    return look, roles_of(look)


def _all_opened(look: Look) -> tuple[tuple[str, ...], Look]:
    """The objects, each before those that lie in it, MOST_LEVELS deep; the look with all open."""
    objects: tuple[str, ...] = ()
    found = look
    for _ in range(MOST_LEVELS):
        more = tuple(c.name for c in found.columns if c.objects and c.name not in objects)
        if not more:
            break
        objects += more
        found = look_at(look.path, objects, look.more)
    return objects, found


def _users_table(looked: Sequence[tuple[Look, Roles]]) -> tuple[Look, str] | None:
    """A file with one row a user, whose ids are those of another file's events."""
    best: tuple[Look, str] | None = None
    for look, own in looked:
        for other, roles in looked:
            if other is look or not roles.is_log or _one_row_a_user(other, roles):
                continue
            assert roles.user_id is not None
            ids = other.column(roles.user_id).text.drop_nulls().unique()
            for column in look.columns:
                if best is None and _are_ids_of(column, ids, roles.user_id, of_some=not own.is_log):
                    best = (look, column.name)
    return best


def _one_row_a_user(look: Look, roles: Roles) -> bool:
    return roles.user_id is None or look.column(roles.user_id).kinds == look.rows


def _are_ids_of(column: Column, ids: pl.Series, called: str, *, of_some: bool) -> bool:
    """Whether the column has each id once, and most of `ids` are among them; with `of_some` also
    where its name tells whose they are, and nearly all of its own are among `ids`."""
    unique = column.known == len(column.text) == column.kinds
    if not unique or (column.number and not column.whole) or column.times is not None:
        return False
    words = words_of(column.name)
    # Numbers from 1 on are among any others: those of articles too.
    telling = not column.whole or set(words) & set(USERS) or set(words) <= set(KEYS)
    known_name = column.name == called or (words[-1:] in ([k] for k in KEYS) and telling)
    shared = ids.is_in(column.text.implode()).sum()
    sure = of_some and (column.name == called or bool(set(words) & set(USERS)))
    return known_name and (
        shared >= _OVERLAP * len(ids) or (sure and shared >= _NEARLY_ALL * column.known)
    )


def _grouped(logs: Sequence[tuple[Look, Roles]], folder: Path) -> tuple[SourcePlan, ...]:
    groups: dict[object, list[tuple[Look, Roles]]] = {}
    for look, roles in logs:
        groups.setdefault(_alike(look, roles), []).append((look, roles))
    groups = {key: _agreed(group) for key, group in groups.items()}
    named = names_of([_all_paths(group) for group in groups.values()])
    return tuple(
        SourcePlan(
            name, [look for look, _ in group], _common(group), paths_of(_all_paths(group), folder)
        )
        for name, group in zip(named, groups.values(), strict=True)
    )


def _alike(look: Look, roles: Roles) -> tuple[object, ...]:
    """What files have in common that are one source; lines of JSON may differ in their fields."""
    layout = look.layout
    same = (look.form, layout.delimiter, layout.header, layout.encoding, layout.unnest)
    if look.form != "ndjson":
        return (*same, tuple(column.name for column in look.columns))
    names = (roles.ts, roles.user_id, roles.event, roles.amount, roles.channel, roles.event_id)
    return (*same, names)


def _agreed(group: Sequence[tuple[Look, Roles]]) -> list[tuple[Look, Roles]]:
    """The files with the times of all read as those in which day and month can be told apart."""
    sure: dict[str, str] = {}
    for look, _ in group:
        for column in look.columns:
            if column.time_format is not None and not column.time_ambiguous:
                sure.setdefault(column.name, column.time_format)
    return [(_read_as(look, sure), roles) for look, roles in group]


def _read_as(look: Look, sure: Mapping[str, str]) -> Look:
    columns = (
        with_time_format(c, sure[c.name]) if c.time_ambiguous and c.name in sure else c
        for c in look.columns
    )
    return replace(look, columns=tuple(columns))


def _common(group: Sequence[tuple[Look, Roles]]) -> Roles:
    """The roles of the file with the most rows; those of small files are less sure."""
    return max(group, key=lambda entry: entry[0].rows)[1]


def _all_paths(group: Sequence[tuple[Look, Roles]]) -> list[Path]:
    return [path for look, _ in group for path in look.paths]
