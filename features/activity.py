"""Recency, tenure and how often: what the active rows alone say."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, column, count, days_before, in_window, linked
from features.spec import FeatureSpec
from features.time import Cutoff, Window

ACTIVITIES = "{} [activity|activities]"


def activity(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Recency, tenure, counts of activities and of active calendar days, ever and by window."""
    sums = {
        "first_ts": pl.col("ts").min(),
        "last_active": pl.when(pl.col("active")).then(pl.col("ts")).max(),
        "events": count(pl.col("active")),
        "same_day": count(pl.col("day_gap") == 0),
    }
    columns = _ever(cutoff)
    for window in spec.windows:
        same_day = linked(cutoff, window) & (pl.col("day_gap") == 0)
        sums[f"events_{window}"] = count(pl.col("active") & in_window(cutoff, window))
        sums[f"same_day_{window}"] = count(same_day)
        columns += _windowed(window)
    return Family(sums, tuple(columns))


def _ever(cutoff: Cutoff) -> list[Column]:
    recency = days_before(cutoff, "last_active")
    tenure = days_before(cutoff, "first_ts")
    days = pl.col("events") - pl.col("same_day")
    share = pl.min_horizontal(days / pl.max_horizontal(tenure, 1.0), 1.0)
    return [
        column(
            "recency_days", "days", "time since the last activity", "last active {} ago", recency
        ),
        column("tenure_days", "days", "time since the first event", "first seen {} ago", tenure),
        column(
            "events_total", "count", "activities ever", f"{ACTIVITIES} in all", pl.col("events")
        ),
        column(
            "active_days_total",
            "count",
            "calendar days with an activity, ever",
            "active on {} [day|days] in all",
            days,
        ),
        column(
            "active_day_share",
            "share",
            "active days by days since the first event, at most 1",
            "active on {} of days since first seen",
            share,
        ),
        column(
            "events_per_active_day",
            "number",
            "activities on a day that has any",
            f"{ACTIVITIES} on an active day",
            pl.col("events") / days,
        ),
    ]


def _windowed(window: Window) -> list[Column]:
    last = f"in the last {window.days} days"
    events = pl.col(f"events_{window}")
    return [
        column(
            f"events_{window}",
            "count",
            f"activities {last}",
            f"{ACTIVITIES} {last}",
            events,
            window,
        ),
        column(
            f"active_days_{window}",
            "count",
            f"calendar days with an activity {last}",
            f"active on {{}} [day|days] {last}",
            events - pl.col(f"same_day_{window}"),
            window,
        ),
    ]
