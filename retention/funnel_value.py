"""What a funnel is broken down by: the value that the start of a user's best attempt has."""

from __future__ import annotations

import polars as pl

from events.properties import told_by_event
from events.users import VALID_FROM
from retention.anchors import within
from retention.funnel_instants import HELD, is_one_of
from retention.steps import FunnelQuestion

VALUE = "value"
OTHERS = "others"  # whether the value is one of those that are pooled; `value` is then null


def values(
    best: pl.LazyFrame,
    events: pl.LazyFrame,
    users: pl.LazyFrame | None,
    asked: FunnelQuestion,
) -> pl.LazyFrame:
    """user_id, value (text, null where the start has none).

    `best`: user_id, start (microseconds) and, with a property held, `held`, of the attempt
    that goes furthest. Of events that start it at one instant the smallest value counts.
    """
    if asked.by is None:
        raise ValueError("the funnel is not broken down")
    if asked.by.kind == "attribute":
        return _attribute(best, users, asked)
    starts = _starts(events, asked)
    on = ["user_id"] if asked.hold is None else ["user_id", HELD]
    told = best.join(starts, on=[*on, "start"])
    return told.group_by("user_id").agg(pl.col(VALUE).min())


def _starts(events: pl.LazyFrame, asked: FunnelQuestion) -> pl.LazyFrame:
    """user_id, held, start, value of the events that can start an attempt."""
    assert asked.by is not None
    first = asked.events if asked.order == "any" else asked.steps[0]
    events = events.filter(is_one_of(first), within("ts", asked.since, asked.until))
    held = {} if asked.hold is None else {HELD: told_by_event(asked.hold)}
    return events.select(
        "user_id", start=pl.col("ts").cast(pl.Int64), **{VALUE: told_by_event(asked.by)}, **held
    )


def _attribute(
    best: pl.LazyFrame, users: pl.LazyFrame | None, asked: FunnelQuestion
) -> pl.LazyFrame:
    """The value of the row of the users table that held at the start."""
    if users is None or asked.by is None:
        raise ValueError("to break down by an attribute takes the users table")
    timed = VALID_FROM in users.collect_schema()
    rows = users.select(
        "user_id",
        since=pl.col(VALID_FROM).cast(pl.Int64) if timed else pl.lit(None, pl.Int64),
        **{VALUE: pl.col(asked.by.name).cast(pl.String)},
    )
    held = best.select("user_id", "start").join(rows, on="user_id")
    held = held.filter(pl.col("since").is_null() | (pl.col("since") <= pl.col("start")))
    held = held.sort("user_id", "since", nulls_last=False)
    latest = held.unique("user_id", keep="last", maintain_order=True).select("user_id", VALUE)
    return best.select("user_id").join(latest, on="user_id", how="left")


def pooled(told: pl.LazyFrame, top: tuple[str, ...]) -> pl.LazyFrame:
    """`value` where it is one of `top`; the others as one. Null is nobody's and stays."""
    known = pl.col(VALUE).is_in(list(top))
    return told.with_columns(
        pl.when(known).then(pl.col(VALUE)).alias(VALUE),
        (pl.col(VALUE).is_not_null() & ~known).alias(OTHERS),
    )
