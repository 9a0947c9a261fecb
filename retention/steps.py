"""The plan behind a sequential funnel: how far each user of a bucket comes, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from retention.anchors import within

MICROSECONDS = 1_000_000
STILL_OPEN = -1  # in `seconds`: users whose window has not ended when the log does
_NOBODY = -(1 << 61)  # a start so early that no window reaches back to it


@dataclass(frozen=True)
class FunnelQuestion:
    """`steps`: event names, first to last. `within_us`: conversion window in microseconds."""

    steps: tuple[str, ...]
    within_us: int
    since: datetime | None
    until: datetime | None
    covered_until: datetime


def funnel_plan(events: pl.LazyFrame, asked: FunnelQuestion) -> pl.LazyFrame:
    """Counts of one bucket: step (0-based), seconds, users.

    `seconds` is the time of a user's first completion of the step, counted from the latest
    start that leads to it, cut to whole seconds: a histogram of them sums over buckets without
    growing with the number of users, and its median is exact to the second.
    """
    reached = _completions(_rows(events, asked), asked)
    taken = reached.with_columns(seconds=(pl.col("at") - pl.col("start")) // MICROSECONDS)
    ends = reached.group_by("user_id").agg(pl.col("step").max(), pl.col("latest").max())
    covered_us = int(asked.covered_until.timestamp()) * MICROSECONDS
    covered_us += asked.covered_until.microsecond
    still_open = ends.filter(
        (pl.col("step") < len(asked.steps) - 1) & (pl.col("latest") + asked.within_us > covered_us)
    ).select("user_id", "step", seconds=pl.lit(STILL_OPEN, pl.Int64))
    rows = pl.concat([taken.select("user_id", "step", "seconds"), still_open])
    return rows.group_by("step", "seconds").agg(users=pl.len().cast(pl.Int64))


def _rows(events: pl.LazyFrame, asked: FunnelQuestion) -> pl.LazyFrame:
    """One row for each event and each step that it can be, a user's after another in order."""
    known = events.filter(pl.col("event").is_in(list(asked.steps)))
    parts = []
    for step, place in enumerate(_places(asked.steps)):
        rows = known.filter(pl.col("event") == asked.steps[step])
        if step == 0:
            rows = rows.filter(within("ts", asked.since, asked.until))
        parts.append(
            rows.select(
                "user_id",
                at=pl.col("ts").cast(pl.Int64),
                place=pl.lit(place, pl.Int32),
                step=pl.lit(step, pl.Int32),
            )
        )
    return pl.concat(parts).sort("user_id", "at", "place")


def _places(steps: Sequence[str]) -> list[int]:
    """Where the events of one instant stand in line, by step.

    An event of another name counts as later than one of the same instant (a log of dates has
    a whole day in one instant); a name that came before needs a later instant, so that no event
    is counted twice.
    """
    places: list[int] = []
    for step, name in enumerate(steps):
        if name in steps[:step]:
            places.append(min(places) - 1)
        else:
            places.append(max(places, default=-1) + 1)
    return places


def _completions(rows: pl.LazyFrame, asked: FunnelQuestion) -> pl.LazyFrame:
    """Per user and step reached: at (the first completion), start (the latest start that leads
    to it), latest (the latest start of all that reach the step); microseconds.

    A start is carried down the rows from step to step. The latest one is enough: where its
    window is over, every earlier one's is.
    """
    other = pl.col("user_id") != pl.col("user_id").shift(1)
    carried = rows.with_columns(
        fresh=other.fill_null(value=True),
        start=pl.when(pl.col("step") == 0).then(pl.col("at")),
    )
    for step in range(1, len(asked.steps)):
        before = pl.when(pl.col("step") == step - 1).then(pl.col("start"))
        nobody = pl.when(pl.col("fresh")).then(pl.lit(_NOBODY, pl.Int64))
        carried = carried.with_columns(
            leads=pl.when(before.is_not_null()).then(before).otherwise(nobody).forward_fill()
        )
        in_time = pl.col("at") - pl.col("leads") < asked.within_us
        carried = carried.with_columns(
            start=pl.when((pl.col("step") == step) & in_time)
            .then(pl.col("leads"))
            .otherwise(pl.col("start"))
        )
    return (
        carried.filter(pl.col("start").is_not_null())
        .group_by("user_id", "step")
        .agg(pl.col("at").min(), pl.col("start").min(), latest=pl.col("start").max())
    )
