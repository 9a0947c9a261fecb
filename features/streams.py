"""The streams of a log: its rows in order, and those of them that measures look at.

What a row is given here depends on it and on rows before it in its user's order alone, so rows
prepared once serve every cutoff: cutting them at t equals preparing the log cut at t.
An event that arrives late is known at no cutoff before its arrival.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import polars as pl

from events.codes import OTHER
from events.contract import ROW_ORDER
from events.store import known_before
from features.definitions import marked
from features.measure import DAY_US, MINUTE_US, Stream
from features.properties import Property, text_of
from features.spec import FeatureSpec
from features.time import Cutoff

NO_TEXT, NO_DAY = -1, 0.0
PROPERTY = "property "  # begins the names of columns of texts that are still to be read
FIRST_WEEK = timedelta(days=7)
SLICE_HOURS = 3
HOUR_US = 60 * MINUTE_US
THURSDAY = 3  # the weekday of 1970-01-01, counted from Monday, 0

# Total for whatever the families read but properties (sums of numbers, the latest text), which want
# the whole of ROW_ORDER: rows equal in all five are interchangeable. A bucket's file begins so.
ORDER = ("user_id", "ts", "event", "amount", "channel")

FOLLOWS = pl.col("number") == pl.col("number").shift(1)


def names_of(spec: FeatureSpec) -> dict[str, tuple[str, ...]]:
    """Of the columns that are codes here: the texts that have one of their own."""
    return {"event": spec.events, "channel": spec.channels}


def prepare(
    events: pl.LazyFrame, spec: FeatureSpec, *, in_order: bool = False, coded: bool = False
) -> pl.LazyFrame:
    """One row an event, by user and time; `in_order` says that they lie in ORDER already,
    `coded` that they have the codes of `names_of`, as `events.codes` reads them.

    number        Int64, counts the users up from 0; sorted
    user_id, ts, active, ends, amount    as `marked` gives them
    price         any amount, likewise; only where some are no value
    kind, channel_code    Int16: 1 + place in the spec's vocabulary, 0 for the rest;
                          channel_code is null where the channel is
    received      when the event became known, null for at once
    day           Int32, the local date in days since 1970-01-01, in the spec's time zone
    slice         Int8, which eighth of the local day: 0 from midnight to three
    weekday       Int8, local, counts from Monday, 1
    number_0, …   Float64, the spec's numbers among the properties; null where there is none
    deadline_0, … Float64, the spec's deadlines among them, in days since 1970-01-01, likewise
    text_0, …     String, the spec's categories among them, likewise
    """
    if not in_order:
        events = events.sort(ROW_ORDER if spec.reads_properties else ORDER)
    rows = marked(events, spec.definitions)
    day, hour = _local(spec.timezone)
    changed = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=False)
    # In a step of their own: an expression that reads a text several times would look for it again.
    told: tuple[Property, ...] = (*spec.numbers, *spec.deadlines, *spec.categories)
    names = dict.fromkeys(one.name for one in told)
    rows = rows.with_columns(text_of(name).alias(PROPERTY + name) for name in names)
    return rows.select(
        "user_id",
        "ts",
        "active",
        "ends",
        "amount",
        *(("price",) if spec.unpaid else ()),
        "received",
        *spec.extra_columns,
        *_read(spec.numbers, "number"),
        *_read(spec.deadlines, "deadline"),
        *_read(spec.categories, "text"),
        number=changed.cast(pl.Int64).cum_sum().set_sorted(),
        kind=pl.col("event_code") if coded else _code("event", spec.events),
        channel_code=pl.col("channel_code") if coded else _code("channel", spec.channels),
        day=day,
        slice=(hour // SLICE_HOURS).cast(pl.Int8),
        weekday=((day + THURSDAY) % 7 + 1).cast(pl.Int8),
    )


def _read(told: Sequence[Property], called: str) -> Iterator[pl.Expr]:
    for place, one in enumerate(told):
        yield one.read(pl.col(PROPERTY + one.name)).alias(f"{called}_{place}")


def _local(zone: str) -> tuple[pl.Expr, pl.Expr]:
    """The date, in days since 1970-01-01, and the hour on the clocks of a time zone."""
    if zone == "UTC":  # whole numbers take a third of the time
        us = pl.col("ts").cast(pl.Int64)
        return (us // DAY_US).cast(pl.Int32), (us % DAY_US // HOUR_US).cast(pl.Int8)
    local = pl.col("ts").dt.convert_time_zone(zone)
    return local.dt.date().cast(pl.Int32), local.dt.hour().cast(pl.Int8)


def known_at(rows: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec) -> pl.LazyFrame:
    """The prepared rows that had happened and were known before a cutoff, as `begun`."""
    return begun(rows.filter(known_before(cutoff.at)), spec)


def begun(rows: pl.LazyFrame, spec: FeatureSpec) -> pl.LazyFrame:
    """The rows with what depends on rows before them.

    new                  whether each lies in the first week after its user's first event
    category_0, …        Int16: 1 + place among the values of the spec's category, 0 for other
                         texts, null without one
    category_0_latest    Int16, the user's last one up to this row; NO_TEXT before the first
    category_0_new       whether the user had no such text before
    deadline_0_latest    Float64, the day that the user's last one up to this row names, in days
                         since 1970-01-01; NO_DAY before the first
    deadline_0_span      days from that row to the day
    """
    begins = FOLLOWS.fill_null(value=False).not_()
    first = pl.when(begins).then(pl.col("ts")).forward_fill()
    rows = rows.with_columns(new=pl.col("ts") < first + FIRST_WEEK)
    for place, one in enumerate(spec.categories):
        text, code = pl.col(f"text_{place}"), pl.col(f"category_{place}")
        known = pl.when(begins & code.is_null()).then(pl.lit(NO_TEXT, dtype=pl.Int16))
        rows = rows.with_columns(_code(f"text_{place}", one.values).alias(f"category_{place}"))
        rows = rows.with_columns(
            known.otherwise(code).forward_fill().alias(f"category_{place}_latest"),
            (text.is_not_null() & pl.struct("number", text).is_first_distinct()).alias(
                f"category_{place}_new"
            ),
        ).drop(f"text_{place}")
    for place in range(len(spec.deadlines)):
        day = pl.col(f"deadline_{place}")
        none = pl.when(begins & day.is_null())
        span = day - pl.col("ts").cast(pl.Int64) / DAY_US
        rows = rows.with_columns(
            none.then(NO_DAY).otherwise(day).forward_fill().alias(f"deadline_{place}_latest"),
            none.then(0.0).otherwise(span).forward_fill().alias(f"deadline_{place}_span"),
        )
    return rows


def _code(column: str, names: tuple[str, ...]) -> pl.Expr:
    known = pl.col(column).is_not_null()
    if not names:
        return pl.when(known).then(pl.lit(OTHER, dtype=pl.Int16))
    code = pl.col(column).replace_strict(
        list(names), list(range(1, len(names) + 1)), default=OTHER, return_dtype=pl.Int16
    )
    return pl.when(known).then(code)


def stream(rows: pl.LazyFrame, name: Stream, spec: FeatureSpec) -> pl.LazyFrame:
    """Of `begun` rows those that measures of a stream look at, with columns of its own.

    events      every event
    active      activities, each with `before` (the instant of the activity before, null for a
                user's first), `step_us` (microseconds since), `day_gap` (calendar days since),
                `joined` (whether it continues a session), `session_us` (microseconds since its
                session began) and `place` (1 for the first of its session)
    days        the first activity of each calendar day, with `gap` (days since the active day
                before, null for a user's first), `gap_before` (the gap before that one) and
                `streak` (active days in a row up to this one)
    purchases   rows with an amount, each with `before`, `step_us`, `opens` (whether it is the
                first of its calendar day: an order has many lines) and `first_amount`, the
                user's first one
    """
    if name == "events":
        return rows
    if name == "purchases":
        return _with_firsts(_with_predecessor(rows.filter(pl.col("amount").is_not_null())))
    active = rows if spec.definitions.all_active else rows.filter(pl.col("active"))
    active = _with_predecessor(active).with_columns(
        day_gap=pl.when(FOLLOWS).then(pl.col("day") - pl.col("day").shift(1))
    )
    if name == "active":
        return _with_sessions(active, spec)
    return _with_streak(active.filter((pl.col("day_gap") != 0).fill_null(value=True)))


def _with_predecessor(rows: pl.LazyFrame) -> pl.LazyFrame:
    rows = rows.with_columns(before=pl.when(FOLLOWS).then(pl.col("ts").shift(1)))
    return rows.with_columns(step_us=(pl.col("ts") - pl.col("before")).dt.total_microseconds())


def _with_firsts(purchases: pl.LazyFrame) -> pl.LazyFrame:
    first, day = pl.col("before").is_null(), pl.col("day")
    return purchases.with_columns(
        opens=first | (day != day.shift(1)),
        first_amount=pl.when(first).then(pl.col("amount")).forward_fill(),
    )


def _with_sessions(active: pl.LazyFrame, spec: FeatureSpec) -> pl.LazyFrame:
    pause = spec.session_gap_minutes * MINUTE_US
    joined = active.with_columns(joined=(pl.col("step_us") <= pause).fill_null(value=False))
    begins = ~pl.col("joined")
    since = joined.with_columns(
        session_us=(
            pl.col("ts") - pl.when(begins).then(pl.col("ts")).forward_fill()
        ).dt.total_microseconds(),
        index=_row_number(),
    )
    return since.with_columns(
        place=pl.col("index") - pl.when(begins).then(pl.col("index")).forward_fill() + 1
    ).drop("index")


def _row_number() -> pl.Expr:
    return pl.col("active").is_not_null().cast(pl.Int64).cum_sum()


def _with_streak(days: pl.LazyFrame) -> pl.LazyFrame:
    gap = pl.col("day_gap")
    days = days.with_columns(gap=gap, gap_before=pl.when(FOLLOWS).then(gap.shift(1)))
    begins = (gap != 1).fill_null(value=True)
    begun = pl.when(begins).then(pl.col("day")).forward_fill()
    return days.with_columns(streak=pl.col("day") - begun + 1)
