"""What another file tells of a log: whose its rows are, and when the parts of its rows were.

Events of sessions, and sessions of users; orders by an id of their own for each, and a table of
whose those are; lines of orders, which alone have the amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from events.nested import JOINT
from events.propose_column import Column
from events.propose_look import Look, LookupPlan
from events.propose_lookups import MATCHED, columns_of, is_key, lookup_name
from events.propose_names import NOT_WHEN, THINGS
from events.propose_roles import Roles, as_amount, as_user
from events.propose_words import words_of

Looked = tuple[Look, Roles]
Whole = tuple[Looked, str]  # and the column by which a part is found to be one


def joined(looked: Sequence[Looked]) -> list[Looked]:
    """Each look, with the columns of others that a log needs, as they will be looked up."""
    people = [_with_people(one, looked) for one in looked]
    known = [_with_users(one, people) for one in people]
    wholes = [_whole_of(part, known) for part in known]
    return [
        _as_part(part, *whole) if whole and _likeliest(part, whole, known, wholes) else part
        for part, whole in zip(known, wholes, strict=True)
    ]


def _likeliest(
    part: Looked, whole: Whole, known: Sequence[Looked], wholes: Sequence[Whole | None]
) -> bool:
    """Whether its amounts are, of all parts of that log: those of two would add up twice."""
    rivals = [
        look
        for (look, _), other in zip(known, wholes, strict=True)
        if other is not None and other[0][0] is whole[0][0]
    ]
    return _names(max(rivals, key=_amount)) == _names(part[0])


def _names(look: Look) -> list[str]:
    return [column.name for column in look.columns]


def _amount(look: Look) -> float:
    return max(as_amount(column) for column in look.columns)


def _with_people(one: Looked, looked: Sequence[Looked]) -> Looked:
    """Of a log with an id of its own for each row the ids of people, where another file tells them:
    there they come again."""
    look, roles = one
    key = roles.user_id
    if key is None or not (roles.is_log and roles.user_by_name and look.header):
        return one
    if not look.column(key).kinds == look.rows > 1:
        return one
    for other, _ in _others(look, looked):
        users = [c for c in other.columns if c.name != key and c.kinds < other.rows]
        named = [column for column in users if as_user(column) > 0]
        if named and key in _shared_keys(look, other):
            return _of_users(one, other, key, max(named, key=as_user).name)
    return one


def _with_users(one: Looked, looked: Sequence[Looked]) -> Looked:
    """Of a log that names no users those of another file, of which its rows are."""
    look, roles = one
    if roles.user_by_name or not _says_when(roles) or not look.header:
        return one
    for other, its in _others(look, looked):
        if its.user_by_name and its.user_id is not None:
            keys = [key for key in _shared_keys(look, other) if key != its.user_id]
            if keys:
                return _of_users(one, other, keys[0], its.user_id)
    return one


def _of_users(one: Looked, other: Look, key: str, user: str) -> Looked:
    """With the user, and what else the other says that can be a feature."""
    look, roles = one
    brought = {name for lookup in other.lookups for name in lookup.adds}
    said = [n for n in columns_of(_names(look), other, None) if n not in {user, *brought}]
    found, called = _looked_up(look, other, key, [user, *said])
    return found, _with_roles(found, roles, user_id=called[user], user_by_name=True)


def _others(look: Look, looked: Sequence[Looked]) -> list[Looked]:
    """Each of one file with a header, of whose columns no other file is."""
    names = [_names(other) for other, _ in looked]
    return [
        one
        for one, columns in zip(looked, names, strict=True)
        if one[0] is not look and one[0].header and not one[0].more and names.count(columns) == 1
    ]


def _says_when(roles: Roles) -> bool:
    """Whether a row tells when it was, and not only when something is to follow, or followed."""
    return roles.ts is not None and not set(words_of(roles.ts)) & {*NOT_WHEN}


def _whole_of(part: Looked, looked: Sequence[Looked]) -> Whole | None:
    """The log without amounts of which most rows of a file without users and times are parts, and
    the column by which they are."""
    look, roles = part
    if _says_when(roles) or roles.user_by_name or not roles.amount or not look.header:
        return None
    for whole in sorted(_others(look, looked), key=lambda one: len(one[0].lookups)):
        other, log = whole
        if not log.is_log or log.amount:
            continue
        keys = [key for key in _shared_keys(look, other) if key not in (log.user_id, log.ts)]
        if keys and log.user_id not in _names(look):
            return whole, keys[0]
    return None


def _as_part(part: Looked, whole: Looked, key: str) -> Looked:
    """With the user and the time of the whole."""
    (look, roles), (other, log) = part, whole
    needed = [name for name in (log.user_id, log.ts, log.clock) if name is not None]
    found, called = _looked_up(look, other, key, needed)
    return found, _with_roles(
        found,
        roles,
        user_id=called[log.user_id or ""],
        user_by_name=log.user_by_name,
        ts=called[log.ts or ""],
        clock=called.get(log.clock or ""),
    )


def _looked_up(
    look: Look, other: Look, key: str, wanted: Sequence[str]
) -> tuple[Look, dict[str, str]]:
    """The look with those columns of the other that its rows find by the key; what each is called
    there. What the other has looked up itself is looked up by the other's key in turn."""
    further = [one for one in other.lookups if set(one.adds) & set(wanted)]
    brought = {name for one in further for name in one.adds}
    keys = [ours for one in further for ours in one.on if ours != key]
    own = dict.fromkeys([*(name for name in wanted if name not in brought), *keys])
    name = lookup_name(look, other)
    called = {n: f"{name}{JOINT}{n}" for n in own} | {n: n for n in (key, *wanted) if n not in own}
    turns = (
        replace(one, on={called[k]: theirs for k, theirs in one.on.items()}) for one in further
    )
    lookups = (*look.lookups, LookupPlan(name, other, {key: key}, tuple(own)), *turns)
    columns = (_found(look, other, key, n, called[n]) for n in called if n != key)
    return replace(look, columns=(*look.columns, *columns), lookups=lookups), called


def _found(look: Look, other: Look, key: str, name: str, called: str) -> Column:
    """The other's column in the rows of the look."""
    theirs = other.column(name)
    told = pl.DataFrame({"key": other.column(key).text, "text": theirs.text})
    told = told if theirs.times is None else told.with_columns(theirs.times.alias("times"))
    rows = look.column(key).text.alias("key").to_frame()
    found = rows.join(told, on="key", how="left", maintain_order="left")
    times = None if theirs.times is None else found["times"]
    return replace(theirs, name=called, text=found["text"].alias(called), times=times)


def _with_roles(look: Look, roles: Roles, **changes: Any) -> Roles:
    """Other roles; what of the file's own columns has none is left to be properties."""
    found = replace(roles, **changes)
    brought = {name for one in look.lookups for name in one.adds}
    taken = {found.ts, found.clock, found.user_id, found.event, found.amount, found.channel}
    taken |= {found.event_id, *found.row_numbers, *brought}
    return replace(found, extra=tuple(name for name in _names(look) if name not in taken))


def _shared_keys(look: Look, other: Look) -> list[str]:
    """Columns of both of which each row of the other has another value, known of most rows of the
    look; none of things that many users have to do with."""
    names = {column.name for column in other.columns}
    shared = [n for n in _names(look) if n in names and not set(words_of(n)) & {*THINGS}]
    return [n for n in shared if is_key(other, n) and _tells_of_most(look, other, n)]


def _tells_of_most(look: Look, other: Look, name: str) -> bool:
    theirs = other.column(name).text
    ours = look.column(name).text.drop_nulls()
    found = ours.is_in(theirs.drop_nulls().implode()).sum()
    return bool(theirs.is_unique().all()) and found >= max(1, MATCHED * len(ours))
