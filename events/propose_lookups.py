"""Which of the files without users say more of a log's rows: of its articles, its courses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import polars as pl

from events.propose_attributes import FEW_KINDS, attributes_of
from events.propose_column import NATIVE, Column
from events.propose_layout import layout_lines, null_lines
from events.propose_look import Look, LookupPlan
from events.propose_names import KEYS
from events.propose_paths import as_name, relative, stem_of
from events.propose_plan import Plan, SourcePlan
from events.propose_roles import as_time
from events.propose_words import listed, quoted, words_of
from events.timestamps import counts_since

MATCHED = 0.5  # of the rows with a key, at least, are those of the table
IN_ADVANCE = {  # words of a table of days that are fixed before they come
    *("deadline", "due", "schedule", "timetable", "calendar", "holiday", "exam", "assessment"),
    *("assignment", "fixture", "semester", "renewal"),
}


def with_lookups(plan: Plan) -> Plan:
    """The plan with what of its left-out files can be looked up; they are left out no more."""
    others = [look for look, _ in plan.left_out]
    sources = [reduce(_with_lookup, others, source) for source in plan.sources]
    used = {lookup.look.path for source in sources for lookup in source.lookups}
    left_out = tuple(entry for entry in plan.left_out if entry[0].path not in used)
    return replace(plan, sources=tuple(sources), left_out=left_out)


def _with_lookup(source: SourcePlan, look: Look) -> SourcePlan:
    found = _lookup(source, look)
    if found is None:
        return source
    first = replace(source.first, lookups=(*source.lookups, found))
    return replace(source, looks=[first, *source.looks[1:]])


def _lookup(source: SourcePlan, look: Look) -> LookupPlan | None:
    """None where the look has a column of the source's users, shares no key of most rows with it,
    or says nothing but the key."""
    names = {column.name for column in look.columns}
    if source.roles.user_id in names or not (source.first.header and look.header and look.whole):
        return None
    if look.path in {lookup.look.path for lookup in source.lookups}:
        return None
    shared = [name for name in _could_be_keys(source) if name in names and is_key(look, name)]
    if not shared:
        return None
    on = _unique(look, shared)
    day = None if on else _day(look, shared)
    on = on or (shared if day is not None else [])
    if not on or not _matches(source, look, on):
        return None
    columns = columns_of([column.name for column in source.first.columns], look, day)
    if not columns and day is None:
        return None
    return LookupPlan(
        name=lookup_name(source.first, look),
        look=look,
        on={name: name for name in on},
        columns=tuple(columns),
        next=day.name if day else None,
        sure=bool(_words(look) & IN_ADVANCE),
    )


def lookup_name(look: Look, other: Look) -> str:
    """What to call the other as a lookup of the look's rows."""
    name = as_name(stem_of(other.path)).replace(".", "_") or "lookup"
    while name in [lookup.name for lookup in look.lookups]:
        name += "_2"
    return name


def columns_of(own: Sequence[str], look: Look, day: Column | None) -> list[str]:
    """What could be features, and the row does not say itself; no date: it may be when something
    had happened by the day of the export."""
    said = [c for c in look.columns if c.name not in own and c is not day and c.kinds > 1]
    said = [c for c in said if c.kinds <= FEW_KINDS or not set(words_of(c.name)) & {*KEYS}]
    dates = [c.name for c in said if c.times is not None]
    return attributes_of(replace(look, columns=tuple(said)), "", dates, None).kept


def _words(look: Look) -> set[str]:
    """Of the file's name and its columns, in the singular."""
    named = [stem_of(look.path), *(column.name for column in look.columns)]
    return {word.removesuffix("s") for name in named for word in words_of(name)}


def _could_be_keys(source: SourcePlan) -> list[str]:
    roles = source.roles
    taken = (roles.ts, roles.clock, roles.user_id, roles.amount)
    return [column.name for column in source.first.columns if column.name not in taken]


def is_key(look: Look, name: str) -> bool:
    column = look.column(name)
    timed = column.times is not None and not column.digits
    return column.kinds > 1 and not timed and (column.whole or not column.number)


def _unique(look: Look, shared: Sequence[str]) -> list[str]:
    """The first column, or else the fewest of all, that each row has another value of."""
    for names in ([name] for name in shared):
        if _has_each_once(look, names):
            return names
    if not _has_each_once(look, shared):
        return []
    needed = list(shared)
    for name in shared:
        rest = [other for other in needed if other != name]
        if _has_each_once(look, rest):
            needed = rest
    return needed


def _has_each_once(look: Look, names: Sequence[str]) -> bool:
    keys = _keys(look, names)
    return keys.height > 1 and not keys.is_duplicated().any()


def _keys(look: Look, names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame([look.column(name).text for name in names]).drop_nulls()


def _day(look: Look, shared: Sequence[str]) -> Column | None:
    """The column of days by which rows of one key are told apart."""
    days = [c for c in look.columns if c.name not in shared and as_time(c) > 0]
    return max(days, key=as_time) if days else None


def _matches(source: SourcePlan, look: Look, on: Sequence[str]) -> bool:
    rows = pl.concat(_keys(one, on) for one in source.looks)
    found = rows.join(_keys(look, on).unique(), on=list(on), how="semi")
    return found.height >= max(1, MATCHED * rows.height)


def lookup_lines(lookup: LookupPlan, source: SourcePlan, folder: Path) -> list[str]:
    """Its section; as a comment where nobody can say that its days were fixed in advance."""
    look = lookup.look
    lines = ["[[source.lookup]]", f"name = {quoted(lookup.name)}"]
    lines += layout_lines(look, [relative(look.path, folder)])
    lines += null_lines([look.column(name) for name in lookup.on.values()])
    same = all(ours == theirs for ours, theirs in lookup.on.items())
    pairs = ", ".join(f"{quoted(ours)} = {quoted(theirs)}" for ours, theirs in lookup.on.items())
    lines.append(f"on = {listed([*lookup.on])}" if same else f"on = {{ {pairs} }}")
    if {source.roles.user_id, source.roles.ts} & set(lookup.adds):
        why = "# Whose a row is, or when it was, stands in it."
    elif lookup.next is None:
        why = "# Of each row more is known by it: keep what was known when the row came."
    else:
        why = "# The next day of this table after each row's: it must have been fixed before."
        lines += _day_lines(look.column(lookup.next), source)
    lines.append(f"columns = {listed(lookup.columns)}")
    if lookup.next is None or lookup.sure:
        return [why, *lines]
    return [f"{why} Was it?", *(f"# {line}" for line in lines)]


def _day_lines(day: Column, source: SourcePlan) -> list[str]:
    """Days that count from a day nobody tells count from the source's own."""
    lines = [f"next = {quoted(day.name)}"]
    ts = source.column(source.roles.ts)
    found = day.time_format or "auto"
    if ts is not None and ts.time_format and counts_since(found) and counts_since(ts.time_format):
        found = ts.time_format
    return lines if found == NATIVE else [*lines, f"time_format = {quoted(found)}"]
