"""Activity in four dimensions by period: frequency, depth, breadth and renewal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from events.activity import is_active
from events.calendar import Period, first_day, known_period, period_at, period_of
from events.passes import summed
from events.store import EventStore
from retention.instants import ByPeriod, shown_periods
from retention.shares import with_share
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings

DIMENSIONS = {
    "frequency": "active days of a user in the period",
    "depth": "activities a session of a user, a session ending after "
    "features.session_gap_minutes without activity, or with the period",
    "breadth": "kinds of events that a user did",
    "renewal": "share of the users active in the period before who are active in this one too: "
    "one minus what that period lost, so that it agrees with the states",
}
SPREAD = ("frequency", "depth", "breadth")
RENEWED = len(SPREAD)
QUANTILES = {"median": (1, 2), "p90": (9, 10)}
_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class ActivityTable(ByPeriod):
    """`periods`: one row per period: period (first day, a date), users (active in it), then of
    each of SPREAD over these users NAME_mean, NAME_median and NAME_p90, then renewed (users),
    renewal (the share) with its Wilson interval renewal_low and renewal_high, complete.

    A quantile q is the smallest value that at least a share q of the users do not exceed. Depth
    is null in a log of dates. In a period that has not ended only users and renewed are told,
    so far; the renewal of the log's first period is null.
    """

    session_gap_minutes: int
    periods: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        return {
            **self.head(),
            "session_gap_minutes": self.session_gap_minutes,
            "dimensions": dict(DIMENSIONS),
            "rows": self.periods.with_columns(pl.col("period").cast(pl.String)).to_dicts(),
        }


def activity(
    settings: Settings,
    store: EventStore,
    device: Device,
    period: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> ActivityTable:
    """Over the users active in each period that `[since, until)` touches. Exact. Raises
    UsageError."""
    known = known_period(period or settings.lifecycle.period)
    zone = settings.project.timezone
    first, last = shown_periods(store, known, zone, since, until)
    counts = summed(
        lambda events, bucket: activity_plan(
            events, settings, known, in_order=store.in_order(bucket)
        ),
        store,
        device,
        by=("number", "dimension", "above", "below"),
        label="activity",
        with_bucket=True,
        cluster=cluster,
    )
    numbers = pl.DataFrame({"number": pl.Series(range(first, last + 1), dtype=pl.Int32)})
    now = period_at(store.covered_until, known, zone)
    return ActivityTable(
        known,
        zone,
        store.as_of,
        store.covered_until,
        settings.features.session_gap_minutes,
        _table(counts, numbers, known, now, store),
    )


def activity_plan(
    events: pl.LazyFrame, settings: Settings, period: Period, *, in_order: bool
) -> pl.LazyFrame:
    """Counts of one bucket: number (of the period), dimension (position in SPREAD), above, below,
    users whose figure is above / below; for RENEWED above is 1 where the user was active in the
    period before too."""
    seen = per_user(events, settings, period, in_order=in_order).sort("user", "number")
    follows = (pl.col("user") == pl.col("user").shift(1)) & (
        pl.col("number").shift(1) == pl.col("number") - 1
    )
    one = pl.lit(1, pl.Int64)
    figures = {
        0: (pl.col("days"), one),
        1: (pl.col("events"), pl.col("sessions")),
        2: (pl.col("kinds"), one),
        RENEWED: (follows.fill_null(value=False).cast(pl.Int64), one),
    }
    parts = [
        seen.select("number", dimension=pl.lit(place, pl.Int32), above=above, below=below)
        for place, (above, below) in figures.items()
    ]
    by = ("number", "dimension", "above", "below")
    return pl.concat(parts).group_by(by).agg(users=pl.len().cast(pl.Int64))


def per_user(
    events: pl.LazyFrame, settings: Settings, period: Period, *, in_order: bool
) -> pl.LazyFrame:
    """A row a user and period with activity: user (a number within the bucket), number, and of
    the activities there events, sessions, days, kinds; Int64."""
    active = events.filter(is_active(settings.activity))
    if not in_order:
        active = active.sort("user_id", "ts")
    zone = settings.project.timezone
    changed = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=True)
    rows = active.select(
        "ts",
        "event",
        changed=changed,
        user=changed.cast(pl.Int64).cum_sum(),
        number=period_of(pl.col("ts"), period, zone),
        day=period_of(pl.col("ts"), "day", zone),
    )
    pause = (pl.col("ts") - pl.col("ts").shift(1)).dt.total_microseconds()
    longest = settings.features.session_gap_minutes * _MINUTE_US
    fresh = pl.col("changed") | (pl.col("number") != pl.col("number").shift(1))
    begins = fresh | (pause > longest)
    anew = fresh | (pl.col("day") != pl.col("day").shift(1))
    marked = rows.select("user", "number", "event", begins=begins, anew=anew)
    return marked.group_by("user", "number").agg(
        events=pl.len().cast(pl.Int64),
        sessions=pl.col("begins").cast(pl.Int64).sum(),
        days=pl.col("anew").cast(pl.Int64).sum(),
        kinds=pl.col("event").n_unique().cast(pl.Int64),
    )


def _table(
    counts: pl.DataFrame, numbers: pl.DataFrame, period: Period, now: int, store: EventStore
) -> pl.DataFrame:
    table = numbers.with_columns(complete=pl.col("number") < now)
    everybody = (
        counts.filter(pl.col("dimension") == 0).group_by("number").agg(pl.col("users").sum())
    )
    table = table.join(everybody, on="number", how="left")
    known = pl.col("complete")
    for place, name in enumerate(SPREAD):
        told = known & (not (name == "depth" and store.date_only))
        spread = _spread(counts.filter(pl.col("dimension") == place), name)
        columns = [
            pl.when(told).then(pl.col(column)).alias(column) for column in spread.columns[1:]
        ]
        table = table.join(spread, on="number", how="left").with_columns(columns)
    renewed = counts.filter((pl.col("dimension") == RENEWED) & (pl.col("above") == 1))
    before = everybody.select(pl.col("number") + 1, before="users")
    table = table.join(renewed.select("number", renewed="users"), on="number", how="left")
    table = table.join(before, on="number", how="left").sort("number")
    filled = table.with_columns(pl.col("users", "renewed", "before").fill_null(0))
    shared = with_share(filled, "renewed", "before", known)
    days = pl.Series([first_day(n, period) for n in table["number"]], dtype=pl.Date)
    spreads = [f"{name}_{what}" for name in SPREAD for what in ("mean", *QUANTILES)]
    named = {"renewal": "share", "renewal_low": "low", "renewal_high": "high"}
    return shared.select(
        "users", *spreads, "renewed", **named, complete="complete", period=days
    ).select("period", "users", *spreads, "renewed", *named, "complete")


def _spread(counts: pl.DataFrame, name: str) -> pl.DataFrame:
    """number, and the mean and quantiles over users of above / below."""
    values = counts.select("number", "users", value=pl.col("above") / pl.col("below"))
    values = values.sort("number", "value").with_columns(
        upto=pl.col("users").cum_sum().over("number"), all=pl.col("users").sum().over("number")
    )
    mean = (pl.col("value") * pl.col("users")).sum() / pl.col("users").sum()
    return values.group_by("number").agg(
        mean.alias(f"{name}_mean"),
        *(
            pl.col("value")
            .filter(pl.col("upto") * parts >= pl.col("all") * part)
            .min()
            .alias(f"{name}_{label}")
            for label, (part, parts) in QUANTILES.items()
        ),
    )
