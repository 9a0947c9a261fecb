"""The rows of a log made ready for the families: sorted once, marked, each with its predecessor.

What a row is given here depends on it and on rows at or before its own instant alone, so rows
prepared once serve every cutoff: cutting them at t equals preparing the log cut at t.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from features.definitions import marked
from features.spec import FeatureSpec

FIRST_WEEK = timedelta(days=7)
PART_HOURS = 6  # night, morning, afternoon and evening
FRIDAY = 5  # weekdays count from Monday, 1
OTHER = 0  # the code of names without a column of their own

# Total for whatever the families read: rows equal in all four are interchangeable.
ORDER = ("user_id", "active", "ts", "amount")


def prepare(events: pl.LazyFrame, spec: FeatureSpec) -> pl.LazyFrame:
    """One row an event, sorted by user; a user's active rows lie together, in time's order.

    number        Int64, counts the users up; sorted
    user_id, ts, active, ends, amount    as `marked` gives them
    kind, channel_code    Int16: 1 + place in the spec's vocabulary, 0 for the rest;
                          channel_code is null where the channel is
    new           whether the row lies in the first week after the user's first event
    before        the instant of the active row before this active one, null for a user's first
    step_us       microseconds since then
    day_gap       calendar days since then, 0 within one day
    part, weekend    part of day 0 to 3, and Saturday or Sunday, in the spec's time zone
    """
    rows = marked(events, spec.definitions).select(
        "user_id",
        "ts",
        "active",
        "ends",
        "amount",
        kind=_code("event", spec.events),
        channel_code=_code("channel", spec.channels),
    )
    return _with_local_time(_with_predecessor(_numbered(rows.sort(ORDER))), spec)


def _code(column: str, names: tuple[str, ...]) -> pl.Expr:
    if not names:
        return pl.when(pl.col(column).is_not_null()).then(pl.lit(OTHER, dtype=pl.Int16))
    code = pl.col(column).replace_strict(
        list(names), list(range(1, len(names) + 1)), default=OTHER, return_dtype=pl.Int16
    )
    return pl.when(pl.col(column).is_not_null()).then(code)


def _numbered(rows: pl.LazyFrame) -> pl.LazyFrame:
    changed = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=False)
    numbered = rows.with_columns(number=changed.cast(pl.Int64).cum_sum().set_sorted())
    first = pl.col("ts").min().over("number")
    return numbered.with_columns(new=pl.col("ts") < first + FIRST_WEEK)


def _with_predecessor(rows: pl.LazyFrame) -> pl.LazyFrame:
    # A user's active rows come last, so whatever follows an active row of his is active too.
    follows = pl.col("active").shift(1) & (pl.col("number") == pl.col("number").shift(1))
    rows = rows.with_columns(before=pl.when(follows).then(pl.col("ts").shift(1)))
    return rows.with_columns(step_us=(pl.col("ts") - pl.col("before")).dt.total_microseconds())


def _with_local_time(rows: pl.LazyFrame, spec: FeatureSpec) -> pl.LazyFrame:
    local = pl.col("ts").dt.convert_time_zone(spec.timezone)
    rows = rows.with_columns(
        day=local.dt.date().cast(pl.Int32),
        part=(local.dt.hour() // PART_HOURS).cast(pl.Int8),
        weekend=local.dt.weekday() > FRIDAY,
    )
    gap = pl.when(pl.col("before").is_not_null()).then(pl.col("day") - pl.col("day").shift(1))
    return rows.with_columns(day_gap=gap).drop("day")
