"""Funnels: how many users go through steps, within a window, where they drop, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from events.store import EventStore
from retention.funnel_count import Asked, counted, require_known, require_told, top_values
from retention.funnel_plan import STILL_OPEN
from retention.funnel_times import PERCENTS, quantiles
from retention.funnel_value import OTHERS, VALUE
from retention.shares import with_share
from retention.steps import FunnelQuestion, Written, question
from runtime.clock import DAY, MICROSECOND, show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings

WEEK = timedelta(days=7)
TOP = 5


@dataclass(frozen=True)
class Group:
    """A funnel of those whose start has one value. `value` is null for those without one, and
    for the `others`, all the values that are not among the most frequent."""

    value: str | None
    others: bool
    steps: pl.DataFrame

    @property
    def label(self) -> str:
        if self.others:
            return "(others)"
        return "(none)" if self.value is None else self.value

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "others": self.others, "rows": self.steps.to_dicts()}


@dataclass(frozen=True)
class Funnel:
    """`steps`: one row per step.

    Columns: step (from 1), event, users, share (of the first step's users) with low and high,
    share_of_previous, dropped (users who reached it and not the next; null for the last), and
    from the start to the first completion of the step median_seconds, p25_seconds, p75_seconds,
    p90_seconds; still_open (users who stopped here so far and whose window has not ended).
    `groups`: the same by value, each user in one, the most frequent first.
    """

    question: FunnelQuestion
    as_of: datetime
    steps: pl.DataFrame
    groups: tuple[Group, ...] = ()
    name: str | None = None
    top: tuple[str, ...] = ()  # the values that are not pooled

    @property
    def window(self) -> timedelta:
        return self.question.within_us * MICROSECOND

    @property
    def covered_until(self) -> datetime:
        return self.question.covered_until

    @property
    def title(self) -> str:
        """For people: the name, the order and the window."""
        days = self.window / DAY
        length = f"{days:g} day" + "s" * (days != 1)
        return f"{self.name or 'Funnel'}, {self.question.order}, within {length} of the start"

    def to_json(self) -> dict[str, Any]:
        asked = self.question
        return {
            "name": self.name,
            "order": asked.order,
            "steps": ["|".join(step) for step in asked.steps],
            "window_days": self.window / DAY,
            "exclude": [exclusion.written(len(asked.steps)) for exclusion in asked.exclude],
            "hold": None if asked.hold is None else asked.hold.name,
            "by": None if asked.by is None else asked.by.name,
            "since": None if asked.since is None else show(asked.since),
            "until": None if asked.until is None else show(asked.until),
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "rows": self.steps.to_dicts(),
            "groups": [group.to_json() for group in self.groups],
        }


def funnel(
    settings: Settings,
    store: EventStore,
    device: Device,
    steps: Sequence[Written],
    window: timedelta = WEEK,
    *,
    order: str = "sequential",
    exclude: Sequence[str] = (),
    hold: str | None = None,
    by: str | None = None,
    top: int = TOP,
    since: datetime | None = None,
    until: datetime | None = None,
    name: str | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Funnel:
    """Users who start with steps[0] in `[since, until)` and go on in `order`, all less than
    `window` after the start; see docs/funnels.md. A user counts once, with the attempt that
    leads furthest. `by`: broken down by its `top` most frequent values, the others together.

    Raises UsageError; StoreError where an attribute is asked for and there is no users table.
    """
    asked = question(
        settings,
        store.covered_until,
        steps,
        window,
        order=order,
        exclude=exclude,
        hold=hold,
        by=by,
        since=since,
        until=until,
    )
    return answered(Asked(settings, store, device, asked, cluster), top, name)


def answered(asked: Asked, top: int = TOP, name: str | None = None) -> Funnel:
    """The same of a question that is checked. Raises as `funnel`."""
    if top < 1:
        raise UsageError(f"--top {top}: name at least 1 value")
    require_known(asked)
    require_told(asked)
    best = top_values(asked, top)
    counts = counted(asked, best)
    whole, groups = _steps(counts, asked.question), _groups(counts, asked.question, best)
    return Funnel(asked.question, asked.store.as_of, whole, groups, name, best)


def _groups(
    counts: pl.DataFrame, asked: FunnelQuestion, best: tuple[str, ...]
) -> tuple[Group, ...]:
    """`best` first, then the others, then those without a value."""
    if asked.by is None:
        return ()
    wanted = [(value, False) for value in best] + [(None, True), (None, False)]
    groups = []
    for value, others in wanted:
        mine = pl.col(VALUE).eq_missing(pl.lit(value, pl.String)) & (pl.col(OTHERS) == others)
        own = counts.filter(mine)
        if own.height:
            groups.append(Group(value, others, _steps(own, asked)))
    return tuple(groups)


def _steps(counts: pl.DataFrame, asked: FunnelQuestion) -> pl.DataFrame:
    rows = []
    for step, event in enumerate(asked.labels):
        here = counts.filter(pl.col("step") == step)
        taken = here.filter(pl.col("seconds") != STILL_OPEN)
        times = zip(PERCENTS, quantiles(taken), strict=True)
        rows.append(
            {
                "step": step + 1,
                "event": event,
                "users": taken["users"].sum(),
                **{f"p{percent}_seconds": seconds for percent, seconds in times},
                "still_open": here.filter(pl.col("seconds") == STILL_OPEN)["users"].sum(),
            }
        )
    times_of = {f"p{percent}_seconds": pl.Float64() for percent in PERCENTS}
    table = pl.DataFrame(rows, schema_overrides=times_of)
    table = with_share(
        table.with_columns(first=pl.col("users").first()), "users", "first", pl.lit(value=True)
    )
    previous, users = pl.col("users").shift(1), pl.col("users")
    return table.select(
        "step",
        "event",
        "users",
        "share",
        "low",
        "high",
        share_of_previous=pl.when(previous > 0).then(users / previous),
        dropped=users - users.shift(-1),
        median_seconds="p50_seconds",
        p25_seconds="p25_seconds",
        p75_seconds="p75_seconds",
        p90_seconds="p90_seconds",
        still_open="still_open",
    )
