"""Sessions, and the hours and weekdays at which a user is active."""

from __future__ import annotations

import polars as pl

from features.family import MINUTE_US, Column, Family, column, count, linked, ratio
from features.spec import FeatureSpec
from features.time import Cutoff, Window

PARTS = ("night", "morning", "afternoon", "evening")


def sessions(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Runs of activities with no longer pause than `session_gap_minutes`, ever and by window.

    A window sees the log as if it began with the window: a session that spans the window's
    start counts with its part inside. None on a log of dates only.
    """
    if not spec.has_times:
        return Family()
    sums: dict[str, pl.Expr] = {}
    columns: list[Column] = []
    short = pl.col("step_us") <= spec.session_gap_minutes * MINUTE_US
    for window in (None, *spec.windows):
        mark = window or "total"
        joined = linked(cutoff, window) & short
        sums[f"joined_{mark}"] = count(joined)
        sums[f"session_us_{mark}"] = pl.when(joined).then(pl.col("step_us")).otherwise(0).sum()
        columns += _sessions(window)
    return Family(sums, tuple(columns))


def _sessions(window: Window | None) -> list[Column]:
    mark = window or "total"
    when = f"in the last {window.days} days" if window else "in all"
    none = f"no session {when}"
    events = pl.col(f"events_{window}" if window else "events")
    number = events - pl.col(f"joined_{mark}")
    minutes = pl.col(f"session_us_{mark}") / MINUTE_US
    return [
        column(
            f"sessions_{mark}",
            "count",
            f"sessions {when}",
            f"{{}} [session|sessions] {when}",
            number,
            window,
        ),
        column(
            f"session_minutes_{mark}",
            "minutes",
            f"mean length of a session {when}",
            f"{{}} a session {when}",
            ratio(minutes, number),
            window,
            missing=none,
        ),
        column(
            f"session_depth_{mark}",
            "number",
            f"mean number of activities in a session {when}",
            f"{{}} [activity|activities] a session {when}",
            ratio(events, number),
            window,
            missing=none,
        ),
    ]


def rhythm(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Shares of activities by part of day and at weekends, in the project's time zone."""
    events = pl.col("events")
    sums = {"weekend": count(pl.col("active") & pl.col("weekend"))}
    columns = [
        column(
            "weekend_share",
            "share",
            "share of activities on Saturday or Sunday",
            "{} of activity at weekends",
            pl.col("weekend") / events,
        )
    ]
    if spec.has_times:
        for number, part in enumerate(PARTS):
            sums[part] = count(pl.col("active") & (pl.col("part") == number))
            columns.append(_part(number, part))
    return Family(sums, tuple(columns))


def _part(number: int, part: str) -> Column:
    hours = f"{6 * number}:00 to {6 * number + 6}:00"
    return column(
        f"{part}_share",
        "share",
        f"share of activities from {hours}",
        f"{{}} of activity from {hours}",
        pl.col(part) / pl.col("events"),
    )
