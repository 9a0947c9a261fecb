"""Labels by the book: plain Python, one user at a time; and by SQL, in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from runtime.settings import Settings

Row = Mapping[str, Any]
DAY = timedelta(days=1)


def labels(
    log: Sequence[Row],
    t: datetime,
    settings: Settings,
    users: Mapping[str, Mapping[str, Any]],
) -> dict[str, tuple[int | None, float]]:
    """(churn, value) of everyone with an event before t."""
    start = t + settings.churn.gap_days * DAY
    end = start + settings.churn.horizon_days * DAY
    paid_end = start + settings.value_horizon_days * DAY
    found = {}
    for user in {row["user_id"] for row in log if row["ts"] < t}:
        rows = sorted((r for r in log if r["user_id"] == user), key=lambda r: r["ts"])
        value = sum(
            r["amount"]
            for r in rows
            if start <= r["ts"] < paid_end
            and r["amount"] is not None
            and (settings.value.events is None or r["event"] in settings.value.events)
        )
        found[user] = (_churn(rows, t, start, end, settings, users.get(user, {})), float(value))
    return found


def _churn(
    rows: Sequence[Row],
    t: datetime,
    start: datetime,
    end: datetime,
    settings: Settings,
    user: Mapping[str, Any],
) -> int | None:
    if settings.churn.kind == "passive":
        activity = settings.activity
        return int(
            not any(
                start <= r["ts"] < end
                and (activity.events is None or r["event"] in activity.events)
                and r["event"] not in activity.exclude
                for r in rows
            )
        )
    leaving = _leaving(rows, t, settings, user)
    if any(t <= instant < start for instant in leaving):
        return None
    return int(any(start <= instant < end for instant in leaving))


def _leaving(
    rows: Sequence[Row], t: datetime, settings: Settings, user: Mapping[str, Any]
) -> list[datetime]:
    churn = settings.churn
    marked = [r["ts"] for r in rows if r["event"] in churn.events]
    if churn.kind == "active":
        left = user.get(churn.date_column) if churn.date_column else None
        return marked + ([left] if left is not None else [])
    term = ((churn.period_days or 0) + churn.grace_days) * DAY
    covered_until = None
    for renewal in marked:
        if covered_until is not None and renewal > covered_until >= t:
            return [covered_until]
        covered_until = renewal + term
    return [covered_until] if covered_until is not None and covered_until >= t else []


def passive_in_sql(
    log: pl.DataFrame, t: datetime, gap_days: int, horizon_days: int
) -> pl.DataFrame:
    """user_id, n, n_30, days, spent, churn, value for a log where every event is an activity."""
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.register("log", log.to_arrow())
        found = db.execute(
            f"""
            with known as (
                select user_id, count(*) as n,
                    count(*) filter (ts >= $t - interval 30 day) as n_30,
                    count(distinct date_trunc('day', ts)) as days,
                    coalesce(sum(amount), 0) as spent
                from log where ts < $t group by user_id),
            later as (
                select user_id, count(*) as n, coalesce(sum(amount), 0) as value from log
                where ts >= $t + interval {gap_days} day
                    and ts < $t + interval {gap_days + horizon_days} day
                group by user_id)
            select known.*, (later.n is null)::int as churn, coalesce(later.value, 0) as value
            from known left join later using (user_id) order by user_id
            """,
            {"t": t},
        ).fetchall()
    names = ["user_id", "n", "n_30", "days", "spent", "churn", "value"]
    return pl.DataFrame(found, schema=names, orient="row", infer_schema_length=None)
