"""Files whose rows are parts of another's, and have the amounts: the lines of orders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from events.propose_look import Column, Look
from events.propose_lookups import MATCHED, is_key
from events.propose_paths import as_name, relative, stem_of
from events.propose_plan import LookupPlan, Plan, SourcePlan
from events.propose_roles import Roles, as_amount, roles_of


def with_details(plan: Plan, folder: Path) -> Plan:
    """The plan with a source more for each log without amounts whose parts have them: whose they
    are, and when, is looked up in the log. Of several files that with the likeliest amounts."""
    added: list[SourcePlan] = []
    used: list[Look] = []
    for whole in plan.sources:
        parts = [(look, key) for look, _ in plan.left_out if (key := _key(whole, look))]
        if parts:
            look, key = max(parts, key=lambda part: _amount(part[0]))
            added.append(_source(look, whole, key, folder))
            used.append(look)
    left_out = tuple(entry for entry in plan.left_out if not any(entry[0] is one for one in used))
    return replace(plan, sources=(*plan.sources, *added), left_out=left_out)


def _amount(look: Look) -> float:
    return max(as_amount(column) for column in look.columns)


def _key(whole: SourcePlan, look: Look) -> str | None:
    """The column by which most of the look's rows are part of a row of a log without amounts."""
    one_file = len(whole.looks) == 1 and not whole.first.more
    headed = whole.first.header and look.header
    if not (one_file and headed) or whole.roles.amount or roles_of(look).amount is None:
        return None
    names = {column.name for column in look.columns}
    if whole.roles.user_id in names:
        return None
    shared = [column.name for column in whole.first.columns if column.name in names]
    fitting = (name for name in shared if is_key(look, name) and _parts_of(whole, look, name))
    return next(fitting, None)


def _parts_of(whole: SourcePlan, look: Look, name: str) -> bool:
    keys = whole.values(name)
    of_parts = look.column(name).text.drop_nulls()
    found = of_parts.is_in(keys.drop_nulls().implode()).sum()
    return bool(keys.is_unique().all()) and found >= max(1, MATCHED * len(of_parts))


def _source(look: Look, whole: SourcePlan, key: str, folder: Path) -> SourcePlan:
    own, roles = roles_of(look), whole.roles
    wanted = [name for name in (roles.user_id, roles.ts, roles.clock) if name is not None]
    called = {name: f"{whole.name}.{name}" for name in wanted}
    looked_up = [_looked_up(look, whole.first, key, name, called[name]) for name in wanted]
    assert roles.user_id is not None
    assert roles.ts is not None
    found = replace(
        own,
        user_id=called[roles.user_id],
        user_by_name=roles.user_by_name,
        ts=called[roles.ts],
        clock=called[roles.clock] if roles.clock else None,
        extra=_extra(look, own),
    )
    return SourcePlan(
        name=as_name(stem_of(look.path)) or f"{whole.name}_parts",
        looks=[replace(look, columns=(*look.columns, *looked_up))],
        roles=found,
        paths=[relative(look.path, folder)],
        lookups=[LookupPlan(whole.name, whole.first, (key,), tuple(wanted), None, sure=True)],
    )


def _extra(look: Look, own: Roles) -> tuple[str, ...]:
    """What is left to be properties, of a file whose users and times lie elsewhere."""
    taken = {own.event, own.amount, own.channel, own.event_id, *own.row_numbers}
    return tuple(column.name for column in look.columns if column.name not in taken)


def _looked_up(look: Look, other: Look, key: str, name: str, called: str) -> Column:
    """The other's column in the rows of the look."""
    theirs = other.column(name)
    told = {"key": other.column(key).text, "text": theirs.text, "times": theirs.times}
    rows = look.column(key).text.alias("key").to_frame()
    found = rows.join(pl.DataFrame(told), on="key", how="left", maintain_order="left")
    times = None if theirs.times is None else found["times"]
    return replace(theirs, name=called, text=found["text"].alias(called), times=times)
