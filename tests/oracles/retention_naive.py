"""Retention, funnels, lifecycle and stickiness said again, slowly: SQL and plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import product
from statistics import median
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
from oracles.retention_world import Row, as_frame

# DuckDB's weeks begin on Monday too. Its date_diff counts whole weeks between dates, and weeks
# that begin between them only if both are first cut to the week.
OFFSETS = """
    with local as (
        select user_id, event, ts, timezone('{zone}', ts)::date as day from log
    ), firsts as (
        select user_id, min(ts) as anchor, min(day) as day from local group by user_id
    )
    select distinct f.user_id, date_trunc('{period}', f.day)::date as cohort,
        date_diff('{period}', date_trunc('{period}', f.day), date_trunc('{period}', l.day))
    from firsts f join local l using (user_id)
    where l.event in ({active})
"""


def offsets_by_calendar(
    rows: Sequence[Row], zone: str, period: str, active: Sequence[str]
) -> dict[date, dict[str, set[int]]]:
    """cohort -> user -> the periods after the first event in which the user was active."""
    names = ", ".join(f"'{name}'" for name in active)
    found = _query(rows, OFFSETS.format(zone=zone, period=period, active=names))
    table: dict[date, dict[str, set[int]]] = {}
    for user, cohort, away in found:
        table.setdefault(cohort, {}).setdefault(user, set()).add(away)
    return table


def sizes_by_calendar(rows: Sequence[Row], zone: str, period: str) -> dict[date, int]:
    sql = f"""
        with firsts as (select user_id, min(timezone('{zone}', ts)::date) as day
                        from log group by user_id)
        select date_trunc('{period}', day)::date, count(*) from firsts group by 1
    """
    return dict(_query(rows, sql))


def _query(rows: Sequence[Row], sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("log", as_frame(rows).to_arrow())
        return connection.execute(sql).fetchall()


def offsets_by_elapsed(
    rows: Sequence[Row], length: timedelta, active: Sequence[str]
) -> dict[str, set[int]]:
    """user -> the windows of `length` after the first event in which the user was active."""
    firsts: dict[str, datetime] = {}
    for user, ts, _ in rows:
        firsts[user] = min(ts, firsts.get(user, ts))
    table: dict[str, set[int]] = {user: set() for user in firsts}
    for user, ts, event in rows:
        if event in active:
            table[user].add((ts - firsts[user]) // length)
    return table


def funnel_depths(
    rows: Sequence[Row], steps: Sequence[str], window: timedelta
) -> dict[str, list[int | None]]:
    """user -> for each step reached, whole seconds from start to its first completion.

    Every choice of one event for each step is tried.
    """
    depths = {}
    for user in {user for user, _, _ in rows}:
        own = [(ts, event) for u, ts, event in rows if u == user]
        taken = []
        for last in range(len(steps)):
            chains = product(*([ts for ts, e in own if e == name] for name in steps[: last + 1]))
            ends = [c for c in chains if _is_chain(c, steps, window)]
            if not ends:
                break
            end = min(chain[-1] for chain in ends)
            start = max(chain[0] for chain in ends if chain[-1] == end)
            taken.append((end - start) // timedelta(seconds=1))
        depths[user] = taken
    return depths


def _is_chain(chain: Sequence[datetime], steps: Sequence[str], window: timedelta) -> bool:
    for place in range(1, len(chain)):
        repeated = steps[place] in steps[:place]
        gap = chain[place] - chain[place - 1]
        if gap < timedelta() or (repeated and not gap):
            return False
    return chain[-1] - chain[0] < window


def median_or_none(values: Sequence[int]) -> float | None:
    return float(median(values)) if values else None


def active_days(rows: Sequence[Row], zone: str, active: Sequence[str]) -> dict[str, set[date]]:
    found: dict[str, set[date]] = {}
    for user, ts, event in rows:
        if event in active:
            found.setdefault(user, set()).add(ts.astimezone(ZoneInfo(zone)).date())
    return found


def lifecycle_counts(periods: dict[str, set[int]], number: int) -> dict[str, int]:
    """States of a period, by looking at every user's whole set of active periods."""
    counts = dict.fromkeys(("new", "returning", "resurrected", "dormant"), 0)
    for own in periods.values():
        if number in own:
            if min(own) == number:
                counts["new"] += 1
            elif number - 1 in own:
                counts["returning"] += 1
            else:
                counts["resurrected"] += 1
        elif number - 1 in own:
            counts["dormant"] += 1
    return counts


def users_active(days: dict[str, set[date]], last: date, length: int) -> int:
    """Distinct users active in the `length` days that end with `last`."""
    window = {last - timedelta(days=n) for n in range(length)}
    return sum(bool(own & window) for own in days.values())


def daily_quality(frame: pl.DataFrame, zone: str) -> list[tuple]:
    """(day, event, rows, users, rows without an amount), sorted, by SQL."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("log", frame.to_arrow())
        return connection.execute(
            f"""select timezone('{zone}', ts)::date, event, count(*), count(distinct user_id),
                count(*) filter (amount is null) from log group by 1, 2 order by 1, 2"""
        ).fetchall()
