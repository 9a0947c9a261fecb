"""Recency, tenure, how often and with which gaps: what the active rows alone say."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, column, count, days_before, in_window, linked, ratio
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


def gaps(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Calendar days from one active day to the next, and how the present silence compares.

    Deviations are the sample's (n - 1), computed from whole numbers so that they are exact.
    """
    gap = pl.when(pl.col("day_gap") > 0).then(pl.col("day_gap").cast(pl.Int64)).otherwise(0)
    sums = {
        "gaps": count(pl.col("day_gap") > 0),
        "gap_sum": gap.sum(),
        "gap_squares": (gap * gap).sum(),
        "gap_max": gap.max(),
    }
    n, total = pl.col("gaps"), pl.col("gap_sum")
    recency = days_before(cutoff, "last_active")
    squares = (n * pl.col("gap_squares") - total * total).cast(pl.Float64)
    deviation = pl.when(n > 1).then((squares / (n * (n - 1))).sqrt())
    longest = pl.when(n > 0).then(pl.col("gap_max"))
    once = "active on one day only"
    columns = (
        column(
            "gap_mean_days",
            "days",
            "usual time from one active day to the next",
            "usually active every {}",
            ratio(total, n),
            missing=once,
        ),
        column(
            "gap_deviation_days",
            "days",
            "standard deviation of the time from one active day to the next",
            "time between active days varies by {}",
            deviation,
            missing="too few active days for a rhythm",
        ),
        column(
            "gap_max_days",
            "days",
            "longest time from one active day to the next",
            "at most {} between active days so far",
            longest,
            missing=once,
        ),
        column(
            "gap_now_over_mean",
            "ratio",
            "present silence by the usual time between active days",
            "silent for {} the usual gap",
            ratio(recency * n, total),
            missing=once,
        ),
        column(
            "gap_now_over_max",
            "ratio",
            "present silence by the longest time between active days",
            "silent for {} the longest gap so far",
            ratio(recency, longest),
            missing=once,
        ),
    )
    return Family(sums, columns)
