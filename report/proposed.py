"""A funnel for a log whose settings name none: of its own frequent events, in their usual order.

Of the frequent events (by users), those that nearly follow each other: sorted by when users do
them first, each done by fewer than the one before. A log with one kind of event gets the way to
the third one. It is a proposal, and the page says so.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from events.activity import is_active
from events.passes import summed
from report.asked import Asked
from runtime.settings_funnel import Funnel

MOST_STEPS = 4
LEAST_SHARE = 0.02  # of users, for an event to be a step
REPEATS = 3
PROPOSAL = "proposal"

Row = dict[str, Any]


def proposed(asked: Asked) -> tuple[Funnel, ...]:
    """Of what `[activity]` calls active; within the horizon of churn where it is one event. None
    where nobody was ever active."""
    found = first_times(asked)
    if found.is_empty():
        return ()
    steps = chain(found)
    if len(steps) == 1:
        days = float(asked.settings.churn.horizon_days)
        return (Funnel(name=PROPOSAL, steps=steps * REPEATS, within_days=days),)
    return (Funnel(name=PROPOSAL, steps=steps),)


def first_times(asked: Asked) -> pl.DataFrame:
    """event, users, place: how many of a user's other events come first, summed over users."""
    return summed(
        lambda events: first_times_plan(events, asked),
        asked.store,
        asked.device,
        by=("event",),
        label="funnel to propose",
        cluster=asked.cluster,
    )


def first_times_plan(events: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """One bucket's: event, users, place, paid (users with an amount at it)."""
    active = events.filter(is_active(asked.settings.activity))
    first = active.group_by("user_id", "event").agg(
        at=pl.col("ts").min(), paid=pl.col("amount").is_not_null().any()
    )
    ordered = first.sort("user_id", "at", "event").with_columns(
        place=pl.col("at").rank("min").over("user_id") - 1
    )
    return ordered.group_by("event").agg(
        users=pl.len().cast(pl.Int64),
        place=pl.col("place").cast(pl.Int64).sum(),
        paid=pl.col("paid").cast(pl.Int64).sum(),
    )


def chain(found: pl.DataFrame) -> tuple[str, ...]:
    """The steps: of the frequent events that users come to one after the other, each done by
    fewer, the longest row; at most MOST_STEPS of it, the first and the last among them. Where
    there are payments the row ends with the one that most make."""
    most = int(found["users"].max() or 0)  # type: ignore[arg-type]  # whole numbers
    frequent = found.filter(pl.col("users") >= LEAST_SHARE * most).with_columns(
        mean=pl.col("place") / pl.col("users"), pays=2 * pl.col("paid") > pl.col("users")
    )
    rows = frequent.sort("mean", "event").to_dicts()
    goal = max((row for row in rows if row["pays"]), key=lambda r: r["users"], default=None)
    if goal is not None:
        rows = [row for row in rows if _before(row, goal) and not row["pays"]] + [goal]
    steps = _longest(rows)
    if len(steps) > MOST_STEPS:
        last = len(steps) - 1
        steps = [steps[round(n * last / (MOST_STEPS - 1))] for n in range(MOST_STEPS)]
    return tuple(row["event"] for row in steps)


def _before(one: Row, other: Row) -> bool:
    return bool(one["mean"] < other["mean"] and one["users"] > other["users"])


def _longest(rows: list[Row]) -> list[Row]:
    """The longest row of events each later and rarer than the one before; of several the one
    with most users."""
    best: list[list[Row]] = []
    for row in rows:
        before = [held for held in best if _before(held[-1], row)]
        best.append([*max(before, key=_worth, default=[]), row])
    return max(best, key=_worth)


def _worth(steps: list[Row]) -> tuple[int, int]:
    return len(steps), sum(step["users"] for step in steps)
