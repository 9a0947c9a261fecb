"""Retention said again in SQL: every start with every later row of its user, then counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import duckdb
import polars as pl

from retention.asking import Did
from retention.cells import Cell

DAYS = {"day": 1, "week": 7, "month": 30}
DAY_US = 86_400_000_000
Key = tuple[date, str | None, int]


@dataclass(frozen=True)
class Asked:
    zone: str
    mode: str
    period: str
    cohort: str
    clock: str
    cells: tuple[Cell, ...]
    anchor: str | datetime
    since: datetime | None
    until: datetime | None
    start: tuple[str, ...] | None
    active: tuple[str, ...]
    valued: tuple[str, ...]
    by: str | None
    did: Did | None
    measure: str
    covered_until: datetime


@dataclass(frozen=True)
class Found:
    """Per cohort, group and cell: users, retained, value, mean, low, high, complete."""

    cells: dict[Key, dict[str, float | None]]
    undecided: int


def found_by_sql(log: pl.DataFrame, users: pl.DataFrame, asked: Asked) -> Found:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("raw", log.to_arrow())
        connection.register("people", users.to_arrow())
        connection.execute(f"create table log as {_log(asked)}")
        connection.execute(f"create table starts as {_starts(asked)}")
        connection.execute(f"create table grouped as {_grouped(asked)}")
        undecided = connection.execute("select count(*) from grouped where undecided").fetchone()
        connection.execute(f"create table cells as {_cells(asked)}")
        rows = pl.from_arrow(connection.sql(_figures(asked)).to_arrow_table())
    assert undecided is not None
    assert isinstance(rows, pl.DataFrame)
    cells = {(row["cohort"], row["grp"], row["place"]): row for row in rows.to_dicts()}
    return Found(cells, undecided[0])


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "''"


def _log(asked: Asked) -> str:
    """`n` is the order of rows at one instant, nulls first."""
    order = "ts, event, amount nulls first, channel nulls first, properties nulls first"
    return f"""
        select *, row_number() over (order by {order}) as n,
            {_trunc("ts", asked.period, asked)} as p,
            event in ({_names(asked.active)}) as active,
            case when event in ({_names(asked.valued)}) then amount end as worth
        from raw
    """


def _trunc(column: str, period: str, asked: Asked) -> str:
    return f"date_trunc('{period}', timezone('{asked.zone}', {column}))::date"


def _range(column: str, asked: Asked) -> str:
    since = f" and {column} >= '{asked.since.isoformat()}'::timestamptz" if asked.since else ""
    until = f" and {column} < '{asked.until.isoformat()}'::timestamptz" if asked.until else ""
    return f"true{since}{until}"


def _starts(asked: Asked) -> str:
    cohort = f"{_trunc('anchor', asked.cohort, asked)} as cohort"
    columns = f"*, row_number() over (order by user_id, anchor) as who, {cohort}"
    if isinstance(asked.anchor, datetime):
        at = f"'{asked.anchor.isoformat()}'::timestamptz"
        return f"""select {columns} from (
            select user_id, {at} as anchor, {_trunc(at, asked.period, asked)} as p,
                null::varchar as channel, null::varchar as properties
            from log where ts < {at} group by user_id having bool_or(active)
        )"""
    can = "true" if asked.start is None else f"event in ({_names(asked.start)})"
    if asked.anchor == "every":
        per = "user_id, p" if asked.clock == "calendar" else "user_id, ts"
    else:
        per = "user_id"
    before, after = _range("ts", asked), "true"
    if asked.anchor == "first":
        before, after = after, before
    return f"""select {columns} from (
        select user_id, ts as anchor, p, channel, properties from (
            select *, row_number() over (partition by {per} order by n) as k
            from log where {can} and {before}
        ) where k = 1 and {after}
    )"""


def _grouped(asked: Asked) -> str:
    if asked.did is not None:
        return _by_did(asked, asked.did)
    value = "null::varchar"
    if asked.by == "channel":
        value = "channel"
    elif asked.by == "plan":
        value = "json_extract_string(properties, '$.plan')"
    elif asked.by == "tier":
        before = "<" if isinstance(asked.anchor, datetime) else "<="
        value = f"""(select arg_max_null(tier, coalesce(valid_from, '1900-01-01'::timestamptz))
            from people where people.user_id = starts.user_id
            and (valid_from is null or valid_from {before} anchor))"""
    return f"select *, {value} as grp, false as undecided from starts"


def _by_did(asked: Asked, did: Did) -> str:
    local, own = (f"timezone('{asked.zone}', {name})::date" for name in ("ts", "anchor"))
    today = f"timezone('{asked.zone}', '{asked.covered_until.isoformat()}'::timestamptz)::date"
    inside, over = f"{local} < {own} + {did.days}", f"{own} + {did.days} <= {today}"
    if asked.clock == "elapsed":
        length = f"interval {did.days * 24} hours"
        covered = f"'{asked.covered_until.isoformat()}'::timestamptz"
        inside, over = f"ts < anchor + {length}", f"anchor + {length} <= {covered}"
    times = f"""(select count(*) from log where log.user_id = starts.user_id
        and event = '{did.event}' and ts >= anchor and {inside})"""
    group = f"case when {times} >= {did.at_least} then 'did' else 'did not' end"
    return (
        f"select *, case when {over} then {group} end as grp, not ({over}) as undecided from starts"
    )


def _cells(asked: Asked) -> str:
    rows = [
        f"({n}, {0 if asked.measure == 'cumulative' else cell.start}, "
        f"{cell.end if cell.end is not None else 1_000_000}, {cell.decided_by})"
        for n, cell in enumerate(asked.cells)
    ]
    return f"select * from (values {', '.join(rows)}) as t(place, first, final, decided)"


def _offset(ts: str, p: str, start: str, asked: Asked) -> str:
    if asked.clock == "calendar":
        return f"date_diff('{asked.period}', {start}.p, {p})"
    length = DAYS[asked.period] * DAY_US
    return f"floor((epoch_us({ts}) - epoch_us({start}.anchor)) / {length})"


def _figures(asked: Asked) -> str:
    counts = {"users": "active", "payers": "worth > 0"}.get(asked.measure, "worth is not null")
    covered = f"'{asked.covered_until.isoformat()}'::timestamptz"
    ended = _offset(covered, _trunc(covered, asked.period, asked), "l", asked)
    return f"""
        with pairs as (
            select s.who, {_offset("l.ts", "l.p", "s", asked)} as away, l.worth
            from grouped s join log l on l.user_id = s.user_id and l.ts >= s.anchor
            where l.{counts}
        ), each as (
            select s.who, s.cohort, s.grp, c.place, c.decided, count(pairs.who) > 0 as here,
                coalesce(sum(pairs.worth), 0) as worth
            from grouped s cross join cells c
            left join pairs on pairs.who = s.who and away between c.first and c.final
            where not s.undecided group by all
        ), latest as (
            select cohort, max(anchor) as anchor, max(p) as p from grouped where not undecided
            group by cohort
        )
        select e.cohort, grp, place, count(*) as users,
            count(*) filter (here) as retained, sum(worth) as value, avg(worth) as mean,
            avg(worth) - 1.959963984540054 * stddev_samp(worth) / sqrt(count(*)) as low,
            avg(worth) + 1.959963984540054 * stddev_samp(worth) / sqrt(count(*)) as high,
            any_value({ended} > decided) as complete
        from each e join latest l using (cohort) group by all
    """
