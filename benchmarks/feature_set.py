"""Seventy-two features said four times: as a set of ours, in SQL, in plain Polars, in pandas.

All are sums, counts and extremes that one pass with one GROUP BY can compute: what SQL is best
at. `SEQUENTIAL` adds what needs a row's predecessor: active days, sessions and gaps.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from benchmarks.big_log import CHANNELS, KINDS

WINDOWS = (7, 30, 90, 365)
MONTH = 30
PARTS = ("night", "morning", "afternoon", "evening")
DAY_US = 86_400_000_000

ADDITIVE = (
    *("recency_days", "tenure_days", "events_total", "kinds_total"),
    *(f"events_{w}d" for w in WINDOWS),
    *("purchases_total", "amount_total", "amount_mean", "amount_max", "refund_share"),
    *("purchase_recency_days", "purchase_tenure_days"),
    *(f"{name}_{w}d" for name in ("purchases", "amount", "amount_mean") for w in WINDOWS),
    *(f"event_{what}_{kind}" for what in ("total", "30d", "days_since") for kind in KINDS),
    *(f"channel_share_{channel}" for channel in CHANNELS),
    *("weekend_share", *(f"{part}_share" for part in PARTS)),
)
SEQUENTIAL = (
    *("active_days_total", *(f"active_days_{w}d" for w in WINDOWS)),
    *("sessions_total", "session_minutes_total"),
    *("gap_mean_days", "gap_deviation_days", "gap_max_days"),
)


def sql_additive(cutoff_us: int) -> Mapping[str, str]:
    """Expressions over `us` (microseconds), `event`, `amount`, `channel`, grouped by user."""
    found = {
        "recency_days": f"({cutoff_us} - max(us)) / {DAY_US}.0",
        "tenure_days": f"({cutoff_us} - min(us)) / {DAY_US}.0",
        "events_total": "count(*)",
        "purchases_total": "count(amount)",
        "amount_total": "coalesce(sum(amount), 0)",
        "amount_mean": "avg(amount)",
        "amount_max": "max(amount)",
        "refund_share": "count(*) FILTER (amount < 0) / nullif(count(amount), 0)",
        "purchase_recency_days": _since("amount IS NOT NULL", cutoff_us, "max"),
        "purchase_tenure_days": _since("amount IS NOT NULL", cutoff_us, "min"),
    }
    for w in WINDOWS:
        inside = f"us >= {cutoff_us - w * DAY_US}"
        found[f"events_{w}d"] = f"count(*) FILTER ({inside})"
        found[f"purchases_{w}d"] = f"count(amount) FILTER ({inside})"
        found[f"amount_{w}d"] = f"coalesce(sum(amount) FILTER ({inside}), 0)"
        found[f"amount_mean_{w}d"] = f"avg(amount) FILTER ({inside})"
    for kind in KINDS:
        mine, month = f"event = '{kind}'", f"us >= {cutoff_us - MONTH * DAY_US}"
        found[f"event_total_{kind}"] = f"count(*) FILTER ({mine})"
        found[f"event_30d_{kind}"] = f"count(*) FILTER ({mine} AND {month})"
        found[f"event_days_since_{kind}"] = _since(mine, cutoff_us, "max")
    seen = " + ".join(f"(count(*) FILTER (event = '{kind}') > 0)::INT" for kind in KINDS)
    found["kinds_total"] = seen
    for channel in CHANNELS:
        found[f"channel_share_{channel}"] = f"count(*) FILTER (channel = '{channel}') / count(*)"
    weekday = f"(us // {DAY_US} + 3) % 7"
    found["weekend_share"] = f"count(*) FILTER ({weekday} >= 5) / count(*)"
    for number, part in enumerate(PARTS):
        share = f"us % {DAY_US} // {DAY_US // 4} = {number}"
        found[f"{part}_share"] = f"count(*) FILTER ({share}) / count(*)"
    return found


def _since(condition: str, cutoff_us: int, extreme: str) -> str:
    return f"({cutoff_us} - {extreme}(us) FILTER ({condition})) / {DAY_US}.0"


def query_additive(files: str, cutoff_us: int) -> str:
    columns = ",\n".join(f"{value} AS {name}" for name, value in sql_additive(cutoff_us).items())
    return f"""
        SELECT user_id, {columns}
        FROM (SELECT *, epoch_us(ts) AS us FROM read_parquet('{files}'))
        WHERE us < {cutoff_us} GROUP BY user_id"""


def query_all(files: str, cutoff_us: int) -> str:
    """The additive features, and those of predecessors from one window a user."""
    more = {
        "active_days_total": "count(*) FILTER (coalesce(day_gap, 1) > 0)",
        "sessions_total": "count(*) FILTER (coalesce(step, 1e18) > 1800000000)",
        "session_minutes_total": "coalesce(sum(step) FILTER (step <= 1800000000), 0) / 60e6"
        " / count(*) FILTER (coalesce(step, 1e18) > 1800000000)",
        "gap_mean_days": "avg(day_gap) FILTER (day_gap > 0)",
        "gap_deviation_days": "stddev_samp(day_gap) FILTER (day_gap > 0)",
        "gap_max_days": "max(day_gap) FILTER (day_gap > 0)",
    }
    for w in WINDOWS:
        start = cutoff_us - w * DAY_US
        new = f"us >= {start} AND (before IS NULL OR before < {start} OR day_gap > 0)"
        more[f"active_days_{w}d"] = f"count(*) FILTER ({new})"
    both = {**sql_additive(cutoff_us), **more}
    columns = ",\n".join(f"{value} AS {name}" for name, value in both.items())
    return f"""
        SELECT user_id, {columns}
        FROM (SELECT *, us - before AS step, us // {DAY_US} - before // {DAY_US} AS day_gap
              FROM (SELECT *, lag(us) OVER (PARTITION BY user_id ORDER BY us) AS before
                    FROM (SELECT user_id, event, amount, channel, epoch_us(ts) AS us
                          FROM read_parquet('{files}')) WHERE us < {cutoff_us}))
        GROUP BY user_id"""


def plain_polars(log: pl.LazyFrame, cutoff_us: int) -> pl.LazyFrame:
    """The additive features as one straightforward query."""
    us, amount, event = pl.col("us"), pl.col("amount"), pl.col("event")
    paid, n = amount.is_not_null(), pl.len()

    def since(condition: pl.Expr, last: bool = True) -> pl.Expr:
        chosen = us.filter(condition)
        return (cutoff_us - (chosen.max() if last else chosen.min())) / DAY_US

    found = {
        "recency_days": (cutoff_us - us.max()) / DAY_US,
        "tenure_days": (cutoff_us - us.min()) / DAY_US,
        "events_total": n,
        "kinds_total": event.n_unique(),
        "purchases_total": amount.count(),
        "amount_total": amount.sum(),
        "amount_mean": amount.mean(),
        "amount_max": amount.max(),
        "refund_share": pl.when(paid.any()).then((amount < 0).sum() / amount.count()),
        "purchase_recency_days": since(paid),
        "purchase_tenure_days": since(paid, last=False),
    }
    for w in WINDOWS:
        inside = us >= cutoff_us - w * DAY_US
        found[f"events_{w}d"] = inside.sum()
        found[f"purchases_{w}d"] = (inside & paid).sum()
        found[f"amount_{w}d"] = amount.filter(inside).sum()
        found[f"amount_mean_{w}d"] = amount.filter(inside).mean()
    month = us >= cutoff_us - MONTH * DAY_US
    for kind in KINDS:
        found[f"event_total_{kind}"] = (event == kind).sum()
        found[f"event_30d_{kind}"] = ((event == kind) & month).sum()
        found[f"event_days_since_{kind}"] = since(event == kind)
    for channel in CHANNELS:
        found[f"channel_share_{channel}"] = (pl.col("channel") == channel).sum() / n
    found["weekend_share"] = ((us // DAY_US + 3) % 7 >= 5).sum() / n
    for number, part in enumerate(PARTS):
        found[f"{part}_share"] = (us % DAY_US // (DAY_US // 4) == number).sum() / n
    rows = log.with_columns(us=pl.col("ts").cast(pl.Int64)).filter(pl.col("us") < cutoff_us)
    return rows.group_by("user_id").agg(**found)
