"""A commented holdfast.toml from a look at the files: a first draft that works at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from events.money import currencies_in
from events.propose_attributes import AT_THE_EXPORT, attributes_of, tells_by_name
from events.propose_churn import Churn, date_columns, propose_churn
from events.propose_column import NATIVE, Column
from events.propose_days import ELAPSED, EXCEL, SINCE_1970, UNTOLD
from events.propose_deadlines import days_ahead, deadlines_section
from events.propose_files import alike
from events.propose_joins import joined
from events.propose_layout import layout_lines, null_lines
from events.propose_look import Look, look_at
from events.propose_lookups import lookup_lines, with_lookups
from events.propose_passive import passive_kinds
from events.propose_paths import relative
from events.propose_plan import Plan, SourcePlan, opened, plan_files
from events.propose_roles import as_amount, as_time
from events.propose_sections import (
    activity_section,
    churn_section,
    eligible_section,
    value_section,
)
from events.propose_users import some_users
from events.propose_value import paying_events, payments_in, value_horizon
from events.propose_words import listed, quoted, words_of
from events.readers import find_in_folder
from runtime.settings import parse_settings

PIECES = ("quantity", "qty", "menge", "count", "pieces", "units", "cantidad", "quantité")
_DAY_NOTES = {
    EXCEL: " # numbers of days, as Excel counts",
    SINCE_1970: " # a guess: numbers of days",
    **dict.fromkeys(
        (UNTOLD, *ELAPSED),
        " # WHICH DATE 0 IS, NO FILE TELLS: put it here; weekdays and seasons hang on it",
    ),
}
PARTS = ("micros", "millis", "cents", "pence", "centavos", "kopecks")  # of money
_A_TIME = 0.5  # score of a role: more than bare numbers that could be times
LEAST_SHOWN = 0.01
_WHOLE_WITH_FRACTION = r"^\d+\.0$"  # as tools write ids where some are missing


def propose(files: list[Path], target: Path) -> str:
    """The text of a holdfast.toml to lie at `target`, with paths relative to its folder.

    Raises InputError where a file cannot be read or none is a log of events.
    """
    paths = [path for named in files for path in find_in_folder(named)]
    looks = [look_at(first, more=tuple(more)) for first, *more in alike(paths)]
    looked = joined([opened(look) for look in looks])
    plan = with_lookups(plan_files(looked, target.parent))
    log = some_users(plan)
    passive = passive_kinds(
        log, {s.name: s.roles.ts or "" for s in plan.sources if not s.roles.event}
    )
    acts = log.filter(~pl.col("event").is_in(list(passive)).fill_null(value=False))
    churn = propose_churn(plan, acts)
    paying = paying_events(plan)
    payments = payments_in(log, paying)
    days = value_horizon(log, payments, churn.horizon_days)
    parts = [
        _head(target, plan),
        *(_source(source, plan, target.parent) for source in plan.sources),
        _users(plan, churn, target.parent),
        _events(plan),
        activity_section(plan, churn, passive),
        eligible_section(churn),
        churn_section(churn, payments),
        value_section(plan, churn, paying, payments, days),
        deadlines_section(days_ahead(plan, log.select(pl.col("ts").max()).item())),
    ]
    text = "\n".join(part for part in parts if part)
    parse_settings(tomllib.loads(text), target.parent, str(target))
    return text


def _head(target: Path, plan: Plan) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", target.resolve().parent.name).strip("_.-")
    lines = [
        "# Proposed by 'holdfast init' from a look at the files. Read it before you go on: what",
        "# a column means, and what churn means, is yours to say.",
        *(_left_out(look, why) for look, why in plan.left_out),
        "",
        "[project]",
        f"name = {quoted(name or 'holdfast')}",
        'timezone = "UTC" # of calendar days in charts and reports',
        "",
    ]
    return "\n".join(lines)


def _left_out(look: Look, why: str) -> str:
    found = ", ".join(f"'{column.name}'" for column in look.columns)
    return " ".join(f"# Left out: {look.path.name}: {why} (found {found}).".split())


def _source(source: SourcePlan, plan: Plan, folder: Path) -> str:
    look, roles = source.first, source.roles
    time = source.column(roles.ts)
    assert time is not None
    lines = ["[[source]]", f"name = {quoted(source.name)}", *layout_lines(look, source.paths)]
    lines += null_lines(_role_columns(source))
    lines += _time_lines(time)
    amount = source.column(roles.amount)
    if amount is not None and amount.decimal == ",":
        lines.append('decimal = "," # of the amounts')
    lines += ["", "[source.columns]", *_column_lines(source)]
    if roles.event is None and len(plan.sources) > 1:
        lines += ["", "[source.constants]", f"event = {quoted(source.name)} # after the file"]
    if roles.event is not None and source.values(roles.event).null_count():
        note = f"# of rows whose '{roles.event}' is empty"
        lines += ["", "[source.constants]", f"event = {quoted(source.name)} {note}"]
    for lookup in source.lookups:
        lines += ["", *lookup_lines(lookup, source, folder)]
    return "\n".join([*lines, ""])


def _role_columns(source: SourcePlan) -> list[Column]:
    roles = source.roles
    names = (roles.ts, roles.clock, roles.user_id, roles.event, roles.amount, roles.event_id)
    return [look.column(name) for look in source.looks for name in names if name]


def _time_lines(time: Column) -> list[str]:
    lines = []
    if time.time_format != NATIVE:
        note = " # DAY AND MONTH MAY BE THE OTHER WAY ROUND: look" if time.time_ambiguous else ""
        note = _DAY_NOTES.get(time.time_format or "", note)
        lines.append(f"time_format = {quoted(time.time_format or 'auto')}{note}")
    return [*lines, 'timezone = "UTC" # of times without an offset']


def _column_lines(source: SourcePlan) -> list[str]:
    roles = source.roles
    guess = "" if roles.user_by_name else " # a guess: no name tells"
    missing = _missing_share(source)
    if missing:
        share = "under 1%" if missing < LEAST_SHOWN else f"{missing:.0%}"
        guess += f" # {share} of the rows have none: they will lie in quarantine"
    ids = source.values(roles.user_id or "").drop_nulls()
    if ids.str.contains(_WHOLE_WITH_FRACTION).all():
        guess += f" # ids are texts: {ids[0]} is another user than {ids[0].removesuffix('.0')}"
    times = [column.name for column in _extra(source) if as_time(column) > _A_TIME]
    other = (
        f" # or {', '.join(map(quoted, times))}? it must be when the row was known" if times else ""
    )
    lines = [
        f"user_id = {quoted(roles.user_id or '')}{guess}",
        f"ts = {quoted(roles.ts or '')}{other}",
    ]
    if roles.clock:
        lines.append(f"clock = {quoted(roles.clock)} # the time of day")
    if roles.event:
        guess = "" if source.first.header else " # a guess: no name tells"
        lines.append(f"event = {quoted(roles.event)}{guess}")
    if roles.amount:
        money = {column.name: as_amount(column) for column in _extra(source)}
        others = sorted((n for n in money if money[n] > 0), key=lambda n: -money[n])
        guess = "" if source.first.header else " # a guess: no name tells"
        guess += f" # or {', '.join(map(quoted, others))}?" if others else ""
        found = currencies_in(source.values(roles.amount))
        if len(found) > 1:
            guess += f" # IN {' AND '.join(found)}: 'ingest' refuses to add them up; convert them"
        part = next((part for part in PARTS if part in words_of(roles.amount)), None)
        guess += f" # in {part}: so are all figures of money" if part else ""
        lines.append(f"amount = {quoted(roles.amount)}{guess}")
        counts = _counts(_extra(source))
        if re.search("unit|price", roles.amount, re.IGNORECASE) and counts:
            pieces = quoted(counts[0])
            lines.append(f"quantity = {pieces} # the amount is of one piece; else leave this out")
    if roles.channel:
        lines.append(f"channel = {quoted(roles.channel)}")
    if roles.event_id:
        lines.append(f"event_id = {quoted(roles.event_id)}")
    words = _words_that_tell(source)
    telling = [c.name for c in _extra(source) if tells_by_name(c.name, words) or _is_label(c)]
    kept = [name for name in roles.extra if name not in telling]
    left = [f"row numbers: {', '.join(roles.row_numbers)}"] if roles.row_numbers else []
    left += [f"what tells who has left: {', '.join(telling)}"] if telling else []
    if left:
        lines.append(f"properties = {listed(kept)} # without {'; '.join(left)}")
    elif roles.extra:
        shown = listed(roles.extra)
        lines.append(f"# properties = {shown} # kept when left out: every other column")
    return lines


def _extra(source: SourcePlan) -> list[Column]:
    return [source.first.column(name) for name in source.roles.extra]


def _words_that_tell(source: SourcePlan) -> Sequence[str]:
    """Of a row a user, as of a users table: the words of what is known at the export alone."""
    ids = source.values(source.roles.user_id or "")
    return AT_THE_EXPORT if ids.n_unique() == len(ids) else ()


def _is_label(column: Column) -> bool:
    """Of who dropped out, or was banned: written to the rows of before."""
    return words_of(column.name)[-1:] == ["label"] and column.kinds <= len("01")


def _counts(columns: Sequence[Column]) -> list[str]:
    return [c.name for c in columns if c.number and set(words_of(c.name)) & set(PIECES)]


def _missing_share(source: SourcePlan) -> float:
    values = source.values(source.roles.user_id or "")
    return values.null_count() / len(values)


def _users(plan: Plan, churn: Churn, folder: Path) -> str:
    if plan.users is None:
        return ""
    look, user_id = plan.users
    dates = date_columns(look)
    left = None if churn.date_column is None else look.column(churn.date_column)
    found = attributes_of(look, user_id, dates, left)
    lines = ["# One row a user.", "[users]", *layout_lines(look, [relative(look.path, folder)])]
    lines += null_lines([look.column(name) for name in (user_id, *dates)])
    unsure = [name for name in dates if look.column(name).time_ambiguous]
    if unsure:
        shown = look.column(unsure[0]).time_format or "auto"
        lines.append(f"time_format = {quoted(shown)} # DAY AND MONTH MAY BE THE OTHER WAY ROUND")
    lines += [
        'timezone = "UTC"',
        "# Attributes become features: keep only what was known when the user joined and has not",
        "# changed since; what was filled in later tells the future.",
        *found.left_out,
        f"attributes = {listed(found.kept)}",
        f"dates = {listed(dates)} # they can define churn and are never features",
        "",
        "[users.columns]",
        f"user_id = {quoted(user_id)}",
    ]
    return "\n".join([*lines, ""])


def _events(plan: Plan) -> str:
    mode, why = _deduplicate(plan)
    return "\n".join(["[events]", f"# {why}", f"deduplicate = {quoted(mode)}", ""])


def _deduplicate(plan: Plan) -> tuple[str, str]:
    if any(source.roles.event_id for source in plan.sources):
        return "event_id", "A row whose user and event id were seen before is dropped."
    times = [source.column(source.roles.ts) for source in plan.sources]
    clocks = [source.roles.clock for source in plan.sources]
    if all(t is not None and (t.finer_than_a_day or c) for t, c in zip(times, clocks, strict=True)):
        return "row", "A row that is equal in every column to another is dropped."
    return "none", "Dates alone: two equal rows may be two events, so none is dropped."
