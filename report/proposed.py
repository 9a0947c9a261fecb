"""A funnel for a log whose settings name none: of its own frequent events, in their usual order.

Of the frequent events (by users), those that nearly follow each other: sorted by when users do
them first, each done by fewer than the one before. A log with one kind of event gets the way to
the third one. It is a proposal, and the page says so.
"""

from __future__ import annotations

import polars as pl

from events.activity import is_active
from events.passes import summed
from report.asked import Asked
from runtime.settings_funnel import Funnel

MOST_STEPS = 4
LEAST_SHARE = 0.02  # of users, for an event to be a step
REPEATS = 3


def proposed(asked: Asked) -> Funnel:
    """Raises StoreError nowhere: a log has at least one event."""
    steps = chain(first_times(asked))
    if len(steps) == 1:
        days = float(asked.settings.churn.horizon_days)
        return Funnel(name="", steps=steps * REPEATS, within_days=days)
    return Funnel(name="", steps=steps)


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
    """The steps: the event of most users, then later and rarer ones, the last where most pay."""
    most = int(found["users"].max() or 0)  # type: ignore[arg-type]  # whole numbers
    frequent = found.filter(pl.col("users") >= LEAST_SHARE * most).with_columns(
        mean=pl.col("place") / pl.col("users"), pays=2 * pl.col("paid") > pl.col("users")
    )
    ordered = frequent.sort("mean", "event").to_dicts()
    start = max(ordered, key=lambda row: (row["users"], -row["mean"]))
    goal = max((row for row in ordered if row["pays"]), key=lambda r: r["users"], default=None)
    steps = [start]
    for row in ordered:
        later = row["mean"] > steps[-1]["mean"] and row["users"] < steps[-1]["users"]
        if later and row is not goal and not row["pays"] and len(steps) < MOST_STEPS:
            fits = goal is None or row["users"] > goal["users"]
            steps += [row] if fits else []
    if goal is not None and goal is not start:
        steps = [*steps[: MOST_STEPS - 1], goal]
    return tuple(row["event"] for row in steps)
