"""Funnels: how many users go through steps in their order, within a window, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from events.names import event_names, require_events
from events.passes import summed
from events.store import EventStore
from retention.shares import with_share
from retention.steps import STILL_OPEN, FunnelQuestion, funnel_plan
from runtime.clock import MICROSECOND, show
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings

LEAST_STEPS = 2


@dataclass(frozen=True)
class Funnel:
    """`steps`: one row per step.

    Columns: step (from 1), event, users, share (of the first step's users) with low and high,
    share_of_previous, median_seconds (from the start to the first completion of the step),
    still_open (users who stopped here so far and whose window has not ended).
    """

    window: timedelta
    as_of: datetime
    covered_until: datetime
    steps: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        return {
            "window_days": self.window / timedelta(days=1),
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "rows": self.steps.to_dicts(),
        }


def funnel(
    settings: Settings,
    store: EventStore,
    device: Device,
    steps: Sequence[str],
    window: timedelta = timedelta(days=7),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Funnel:
    """Users who start with steps[0] in `[since, until)` and do the others in order, each at or
    after the one before it, all less than `window` after the start; other events may lie
    between. A user counts once, with the start that leads furthest.

    A step of another name may share its instant with the one before; a name used before needs
    a later instant. Raises UsageError.
    """
    asked = FunnelQuestion(
        steps=tuple(steps),
        within_us=window // MICROSECOND,
        since=since,
        until=until,
        covered_until=store.covered_until,
    )
    _check(asked)
    counts = summed(
        lambda events: funnel_plan(events, asked),
        store,
        device,
        by=("step", "seconds"),
        label="funnel",
    )
    table = _steps(counts, asked.steps)
    _check_names(table, store, device)
    return Funnel(window, store.as_of, store.covered_until, table)


def _check(asked: FunnelQuestion) -> None:
    if len(asked.steps) < LEAST_STEPS:
        raise UsageError(f"a funnel of {len(asked.steps)} steps; name at least two events")
    if asked.within_us <= 0:
        raise UsageError("a conversion window of no length; name at least one second")


def _check_names(table: pl.DataFrame, store: EventStore, device: Device) -> None:
    """A step that nobody reaches may be misspelt: that is looked up, and only then."""
    unreached = table.filter(pl.col("users") == 0)["event"].to_list()
    if not unreached:
        return
    require_events(unreached, event_names(store, device), "step")


def _steps(counts: pl.DataFrame, steps: tuple[str, ...]) -> pl.DataFrame:
    rows = []
    for step, event in enumerate(steps):
        here = counts.filter(pl.col("step") == step)
        taken = here.filter(pl.col("seconds") != STILL_OPEN)
        rows.append(
            {
                "step": step + 1,
                "event": event,
                "users": taken["users"].sum(),
                "median_seconds": _median(taken),
                "still_open": here.filter(pl.col("seconds") == STILL_OPEN)["users"].sum(),
            }
        )
    table = pl.DataFrame(rows, schema_overrides={"median_seconds": pl.Float64})
    table = with_share(
        table.with_columns(first=pl.col("users").first()), "users", "first", pl.lit(value=True)
    )
    previous = pl.col("users").shift(1)
    return table.select(
        "step",
        "event",
        "users",
        "share",
        "low",
        "high",
        share_of_previous=pl.when(previous > 0).then(pl.col("users") / previous),
        median_seconds="median_seconds",
        still_open="still_open",
    )


def _median(histogram: pl.DataFrame) -> float | None:
    """The median of `seconds`, each counted `users` times; the mean of the middle two."""
    total = int(histogram["users"].sum())
    if total == 0:
        return None
    ordered = histogram.sort("seconds")
    upto = ordered["users"].cum_sum()
    low = ordered["seconds"][int((upto > (total - 1) // 2).arg_max() or 0)]
    high = ordered["seconds"][int((upto > total // 2).arg_max() or 0)]
    return (int(low) + int(high)) / 2
