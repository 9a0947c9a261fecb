"""The lifecycle said again in SQL: for each instant by itself, everything from the rows known then.

The rules are SQL, so DuckDB reads the same text; all that they are about it computes anew: ranks
by RANK(), medians from sorted lists, sessions by LAG() within user and period.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from events.store import EventStore
from runtime.settings import Settings
from runtime.settings_lifecycle import OTHER

MICROSECOND = timedelta(microseconds=1)

KNOWN = """
    create temp table log as
    select user_id, ts, event, amount, received, timezone('{zone}', ts)::date as day,
        coalesce(event <> 'mail', true) as active,
        case when event in ({value}) then amount end as money
    from raw where ts < timestamptz '{as_of}'
        and (received is null or received < timestamptz '{as_of}')
"""
MEASURES = """
    create temp table measures as
    with known as (
        select i.place, i.instant, i.day as today, l.* exclude (received)
        from instants i join log l
            on l.ts < i.instant and (l.received is null or l.received < i.known_by)
    ), told as (
        select place, user_id, any_value(instant) as instant, min(ts) as first_ts,
            max(ts) filter (active) as last_ts,
            count(distinct day) filter (active) as active_days,
            count(distinct day) filter (active and day > today - {w}) as active_days_recent,
            count(distinct day) filter (active and day <= today - {w} and day > today - 2 * {w})
                as active_days_before,
            count(*) filter (active and day > today - {w}) as activities_recent,
            max(day) filter (active) - min(day) filter (active) as span,
            count(money) as orders,
            count(money) filter (day > today - {w}) as orders_recent,
            coalesce(sum(money), 0) as value_total,
            coalesce(sum(money) filter (day > today - {w}), 0) as value_recent
        from known group by place, user_id
    ), learned as (
        select place, coalesce(list_sort(list(span / (active_days - 1)) filter (active_days > 1))
            [cast(ceil(count(*) filter (active_days > 1) / 2) as int)], {horizon})::double
            as population_gap_days
        from told group by place
    ), full_of as (
        select t.*, population_gap_days, {horizon}::double as horizon_days,
            (epoch_us(instant) - epoch_us(first_ts)) / 86400000000 as tenure_days,
            (epoch_us(instant) - epoch_us(last_ts)) / 86400000000 as recency_days,
            case when active_days > 0 then (span + population_gap_days) / active_days end
                as usual_gap_days,
            count(*) over everybody as n,
            max(value_total) over everybody as largest,
            rank() over (partition by place order by value_total) - 1 as poorer,
            rank() over (partition by place order by activities_recent) - 1 as idler
        from told t join learned using (place)
        window everybody as (partition by place)
    )
    select * exclude (instant, first_ts, last_ts, span, n, largest, poorer, idler),
        recency_days / usual_gap_days as gap_ratio,
        case when tenure_days >= 2 * {w} and active_days_recent + active_days_before > 0
            then (active_days_recent - active_days_before)
                / (active_days_recent + active_days_before) end as trend,
        case when largest > 0 then {value_rank} end as value_rank,
        {activity_rank} as activity_rank
    from full_of
"""


def ends_of_periods(
    store: EventStore, zone: str, period: str
) -> list[tuple[int, date, datetime, date, datetime]]:
    """place, first day, instant, the last day before it, until when things become known; of every
    period of the log."""
    day = _begin(store.first.astimezone(ZoneInfo(zone)).date(), period)
    found = []
    while _midnight(day, zone) < store.covered_until:
        following = _next(day, period)
        end = _midnight(following, zone)
        at = min(end, store.covered_until)
        today = (at - MICROSECOND).astimezone(ZoneInfo(zone)).date()
        found.append((len(found), day, at, today, at if at == end else store.as_of))
        day = following
    return found


def _begin(day: date, period: str) -> date:
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def _next(day: date, period: str) -> date:
    if period == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if period == "week" else 1)


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))


def standing(log: pl.DataFrame, settings: Settings, store: EventStore, period: str) -> pl.DataFrame:
    """A row a user and instant: period (first day), user_id, layer, each tag as a column, and the
    measures."""
    lifecycle, zone = settings.lifecycle, settings.project.timezone
    window = lifecycle.window_days or settings.churn.horizon_days
    with duckdb.connect() as connection:
        _load(connection, log, settings, store)
        instants = ends_of_periods(store, zone, period)
        connection.execute(
            "create temp table instants (place int, period date, instant timestamptz, day date, "
            "known_by timestamptz)"
        )
        connection.executemany("insert into instants values (?, ?, ?, ?, ?)", instants)
        connection.execute(
            MEASURES.format(
                w=window,
                horizon=settings.churn.horizon_days,
                value_rank=_rank("poorer", _shares(settings)),
                activity_rank=_rank("idler", _shares(settings)),
            )
        )
        cases = " ".join(f"when ({rule.rule}) then '{rule.name}'" for rule in lifecycle.layers)
        tags = "".join(
            f', coalesce(({rule.rule}), false) as "#{rule.name}"' for rule in lifecycle.tags
        )
        sql = (
            f"select i.period, m.*, case {cases} else '{OTHER}' end as layer {tags} "
            "from measures m join instants i using (place) order by place, user_id"
        )
        return _frame(connection, sql)


def _frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    found = pl.from_arrow(connection.sql(sql).to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


def _load(
    connection: duckdb.DuckDBPyConnection, log: pl.DataFrame, settings: Settings, store: EventStore
) -> None:
    connection.execute("set timezone = 'UTC'")
    connection.register("raw", log.to_arrow())
    value = ", ".join(f"'{name}'" for name in settings.value.events or ("buy", "view", "mail"))
    as_of = store.as_of.isoformat()
    connection.execute(KNOWN.format(zone=settings.project.timezone, value=value, as_of=as_of))


def _shares(settings: Settings) -> list[str]:
    """Those in the rules about ranks, as they are written there."""
    rules = [*settings.lifecycle.layers, *settings.lifecycle.tags]
    texts = [rule.rule for rule in rules if "_rank" in rule.rule]
    return sorted({n for text in texts for n in re.findall(r"\b0\.\d+", text)})


def _rank(fewer: str, shares: Sequence[str]) -> str:
    """The highest share s with fewer >= s * n, in whole numbers."""
    whens = " ".join(
        f"when {fewer} * 1000 >= {int(float(share) * 1000)} * n then {share}"
        for share in reversed(shares)
    )
    return f"(case {whens} else 0.0 end)::double"


def activity(
    log: pl.DataFrame, settings: Settings, store: EventStore, period: str
) -> dict[date, dict[str, Any]]:
    """By the period's first day, over the users active in it: the means and quantiles."""
    sql = f"""
        with steps as (
            select user_id, date_trunc('{period}', day)::date as period, day, event, ts,
                lag(ts) over (
                    partition by user_id, date_trunc('{period}', day) order by ts
                ) as prior
            from log where active
        ), each_user as (
            select user_id, period, count(distinct day) as frequency,
                count(distinct event) as breadth, count(*)
                    / count(*) filter (prior is null or ts - prior > interval 30 minute) as depth
            from steps group by all
        ), renewed as (
            select a.period, count(*) as renewed from each_user a join each_user b
                on a.user_id = b.user_id and b.period = (a.period - interval 1 {period})::date
            group by all
        )
        select period, count(*) as users, coalesce(any_value(renewed), 0) as renewed,
            {_quantiles("frequency")}, {_quantiles("depth")}, {_quantiles("breadth")}
        from each_user left join renewed using (period) group by period
    """
    with duckdb.connect() as connection:
        _load(connection, log, settings, store)
        rows = _frame(connection, sql).to_dicts()
    return {row.pop("period"): row for row in rows}


def _quantiles(name: str) -> str:
    values = f"list_sort(list({name}))"
    return (
        f"avg({name}) as {name}_mean, "
        f"{values}[cast(ceil(count(*) / 2) as int)] as {name}_median, "
        f"{values}[cast(ceil(count(*) * 9 / 10) as int)] as {name}_p90"
    )


def rfm(
    log: pl.DataFrame, settings: Settings, store: EventStore, at: datetime
) -> dict[tuple[int, int, int], tuple[int, float]]:
    """By recency, frequency and monetary score: users, value."""
    parts = settings.lifecycle.rfm.parts
    scores = ", ".join(
        f"1 + cast(floor((rank() over (order by {name}) - 1) * {parts} / count(*) over ()) as int) "
        f"as {name}_score"
        for name in ("recency", "frequency", "monetary")
    )
    sql = f"""
        with bought as (
            select user_id, -((epoch_us(timestamptz '{at.isoformat()}') - epoch_us(max(ts)))
                // 86400000000) as recency, count(*) as frequency, sum(money) as value,
                sum(money) / count(*) as monetary
            from log where money is not null and ts < timestamptz '{at.isoformat()}'
                and (received is null or received < timestamptz '{at.isoformat()}')
            group by user_id
        ), scored as (select value, {scores} from bought)
        select recency_score, frequency_score, monetary_score, count(*), sum(value)
        from scored group by all
    """
    with duckdb.connect() as connection:
        _load(connection, log, settings, store)
        rows = connection.execute(sql).fetchall()
    return {(r, f, m): (users, value) for r, f, m, users, value in rows}
