"""Sequences: the last events of each user at a cutoff, as slices of rows that are written once.

The rows of a bucket are sorted by user and time; the sequence of a user at a cutoff is the slice
[begin, end) of them. The rows hold later events too, which serve later cutoffs, but no slice
reaches a row that is not known at its cutoff, and nothing in a row comes from a later one.

A row is known at a cutoff t where it happened before t and, where the log says when it was
received, was received before t as well. A user of whom a late row lies within the slice has none
in place: `known_plan` gives his rows without it, which are written as a copy of their own.

Plans alone: pure functions from LazyFrame to LazyFrame, for one cutoff. `sequence_index` finds
the same for many cutoffs at once.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from events.activity import is_active
from features.definitions import LARGEST_AMOUNT, ends
from features.spec import FeatureSpec
from features.time import Cutoff

# Raise it when an array's meaning changes: what was written under another is not reused.
VERSION = 1

RARE = 0  # the code of a kind of event without a place in the vocabulary
NO_CHANNEL, RARE_CHANNEL = 0, 1

ARRAYS: dict[str, pl.DataType] = {
    "kind": pl.Int16(),
    "channel": pl.Int16(),
    "gap": pl.Float32(),
    "amount": pl.Float32(),
    "hour": pl.Int8(),
    "weekday": pl.Int8(),
    "ts": pl.Int64(),
}
"""What a model reads of an event; one value an event, none of them null.

kind      1 + place among the spec's events, 0 for one that is not among them
channel   2 + place among the spec's channels, 1 for one that is not among them, 0 for none
gap       seconds since the user's event before it, NaN for his first
amount    in the currency of the log, held to what float32 holds; NaN where the event has none
hour      0 to 23 in the spec's time zone
weekday   0, Monday, to 6 in the spec's time zone
ts        microseconds since 1970 in UTC
"""

MARKS: dict[str, pl.DataType] = {"active": pl.Int8(), "ends": pl.Int8()}
"""0 or 1: whether the event is an activity, and whether it is one of `churn.events`."""

# Rows equal in all five are interchangeable in every array.
ORDER = ("number", "ts", "kind", "channel", "amount")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000


def micros(instant: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds


def sequence_plan(events: pl.LazyFrame, spec: FeatureSpec) -> pl.LazyFrame:
    """One row an event, sorted by user and time.

    number        Int64, counts the users up from 0; sorted
    user_id       as in the log
    known         Int64, the microsecond from which on, itself excluded, the row is known
    and ARRAYS and MARKS
    """
    people = events.select("user_id").unique().sort("user_id").with_row_index("number")
    rows = events.select(
        "user_id",
        pl.col("ts").dt.epoch("us").alias("ts"),
        _known(events).alias("known"),
        _code("event", spec.events, RARE + 1, RARE).alias("kind"),
        _channel(spec).alias("channel"),
        _amount().alias("amount"),
        _local(spec).dt.hour().cast(pl.Int8).alias("hour"),
        (_local(spec).dt.weekday() - 1).cast(pl.Int8).alias("weekday"),
        is_active(spec.activity).cast(pl.Int8).alias("active"),
        ends(spec.definitions.churn).cast(pl.Int8).alias("ends"),
    )
    # Numbers of users sort three times as fast as their names.
    numbered = rows.join(people.cast({"number": pl.Int64}), on="user_id", how="inner").sort(ORDER)
    return _with_gap(numbered).select("number", "user_id", "known", *ARRAYS, *MARKS)


def index_plan(rows: pl.LazyFrame, cutoff: Cutoff, length: int) -> pl.LazyFrame:
    """The slice of everyone of whom a row is known at the cutoff, from `sequence_plan`'s rows.

    number, user_id
    begin, end    Int64, places among the rows: the last `length` before the first unknown one
    late          whether a row that is not known yet lies within, or right before it, where it
                  would shape the first gap; the sequence is then `known_plan`'s
    """
    at = micros(cutoff.at)
    placed = rows.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    people = placed.group_by("number").agg(
        pl.col("user_id").first(),
        first=pl.col("place").min(),
        last=pl.when(pl.col("known") < at).then(pl.col("place")).max(),
    )
    people = people.filter(pl.col("last").is_not_null()).with_columns(end=pl.col("last") + 1)
    start = pl.col("end") - length
    people = people.with_columns(
        begin=pl.when(start > pl.col("first")).then(start).otherwise(pl.col("first"))
    )
    missing = placed.filter((pl.col("ts") < at) & (pl.col("known") >= at))
    within = (pl.col("place") >= pl.col("begin") - 1) & (pl.col("place") < pl.col("end"))
    broken = missing.join(people.select("number", "begin", "end"), on="number", how="inner")
    broken = broken.filter(within).group_by("number").agg(missing=pl.len())
    found = people.join(broken, on="number", how="left").sort("number")
    return found.select("number", "user_id", "begin", "end", late=pl.col("missing").is_not_null())


def known_plan(rows: pl.LazyFrame, cutoff: Cutoff, length: int) -> pl.LazyFrame:
    """The sequences themselves: of `sequence_plan`'s rows the last `length` of each user that
    are known at the cutoff, each with the gap since the known one before it."""
    known = _with_gap(rows.filter(pl.col("known") < micros(cutoff.at)))
    placed = known.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    last = pl.col("place").max().over("number")
    return placed.filter(pl.col("place") > last - length).drop("place")


def _with_gap(rows: pl.LazyFrame) -> pl.LazyFrame:
    follows = pl.col("number") == pl.col("number").shift(1)
    seconds = (pl.col("ts") - pl.col("ts").shift(1)) / SECOND_US
    gap = pl.when(follows).then(seconds).otherwise(pl.lit(float("nan")))
    return rows.with_columns(gap=gap.cast(pl.Float32))


def _known(events: pl.LazyFrame) -> pl.Expr:
    happened = pl.col("ts").dt.epoch("us")
    if "received" not in events.collect_schema():
        return happened
    received = pl.col("received").dt.epoch("us")
    return pl.when(received > happened).then(received).otherwise(happened)


def _code(column: str, names: tuple[str, ...], first: int, rest: int) -> pl.Expr:
    """`first` + place among the names, `rest` for any other."""
    if not names:
        return pl.lit(rest, dtype=pl.Int16)
    codes = list(range(first, first + len(names)))
    return pl.col(column).replace_strict(list(names), codes, default=rest, return_dtype=pl.Int16)


def _channel(spec: FeatureSpec) -> pl.Expr:
    code = _code("channel", spec.channels, RARE_CHANNEL + 1, RARE_CHANNEL)
    none = pl.lit(NO_CHANNEL, dtype=pl.Int16)
    return pl.when(pl.col("channel").is_null()).then(none).otherwise(code)


def _amount() -> pl.Expr:
    """Of -0.0 is made 0.0: the two sort as equals, and their bits would tell the row order."""
    amount = pl.col("amount")
    held = pl.when(amount == 0).then(0.0).otherwise(amount.clip(-LARGEST_AMOUNT, LARGEST_AMOUNT))
    return held.cast(pl.Float32).fill_null(float("nan"))


def _local(spec: FeatureSpec) -> pl.Expr:
    return pl.col("ts").dt.convert_time_zone(spec.timezone)
