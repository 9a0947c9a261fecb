"""Sessions, and the hours and weekdays at which a user is active."""

from __future__ import annotations

import polars as pl

from features.family import (
    MINUTE_US,
    Column,
    Family,
    Measure,
    column,
    entropy,
    last_days,
    ratio,
    within,
)
from features.spec import FeatureSpec
from features.streams import SLICE_HOURS
from features.time import Window

PARTS = ("night", "morning", "afternoon", "evening")
PART_HOURS, DAY_HOURS = 6, 24
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FRIDAY = 5  # weekdays count from Monday, 1


def sessions(spec: FeatureSpec) -> Family:
    """Runs of activities with no longer pause than `session_gap_minutes`, ever and by window.

    A window sees the log as if it began with the window: a session that spans the window's
    start counts with its part inside. None on a log of dates only.
    """
    if not spec.has_times:
        return Family()
    joined, place = pl.col("joined"), pl.col("place")
    measures = {
        "joined": Measure("active", joined, "linked"),
        "joined_us": Measure("active", pl.when(joined).then(pl.col("step_us")), "linked"),
        "seconds_in": Measure("active", place == 2),  # noqa: PLR2004 - the second of a session
        "session_us_max": Measure("active", pl.col("session_us"), "max"),
        "session_place_max": Measure("active", place, "max"),
    }
    columns = [c for window in (None, *spec.windows) for c in _sessions(window)]
    return Family(measures, (*columns, *_extremes()))


def _number(window: Window | None) -> pl.Expr:
    return within("events", window) - within("joined", window)


def _sessions(window: Window | None) -> list[Column]:
    mark, when = window or "total", last_days(window)
    none = f"no session {when}"
    minutes = within("joined_us", window) / MINUTE_US
    return [
        column(
            f"sessions_{mark}",
            "count",
            f"sessions {when}",
            f"{{}} [session|sessions] {when}",
            _number(window),
            window,
        ),
        column(
            f"session_minutes_{mark}",
            "minutes",
            f"mean length of a session {when}",
            f"{{}} a session {when}",
            ratio(minutes, _number(window)),
            window,
            missing=none,
        ),
        column(
            f"session_depth_{mark}",
            "number",
            f"mean number of activities in a session {when}",
            f"{{}} [activity|activities] a session {when}",
            ratio(within("events", window), _number(window)),
            window,
            missing=none,
        ),
    ]


def _extremes() -> list[Column]:
    sessions_ever = _number(None)
    return [
        column(
            "session_bounce_share",
            "share",
            "sessions of a single activity by all sessions",
            "{} of sessions end after one activity",
            ratio(sessions_ever - pl.col("seconds_in"), sessions_ever),
        ),
        column(
            "session_minutes_max",
            "minutes",
            "length of the longest session",
            "{} in the longest session",
            pl.col("session_us_max") / MINUTE_US,
        ),
        column(
            "session_depth_max",
            "count",
            "activities in the deepest session",
            "{} [activity|activities] in the deepest session",
            pl.col("session_place_max"),
        ),
    ]


def rhythm(spec: FeatureSpec) -> Family:
    """Shares of activities by part of day and weekday, in the project's time zone."""
    weekday = pl.col("weekday")
    measures = {
        name: Measure("active", weekday, code=number) for number, name in enumerate(WEEKDAYS, 1)
    }
    weekend = pl.sum_horizontal(map(pl.col, WEEKDAYS[FRIDAY:]))
    columns = [_share("weekend", weekend, "on Saturday or Sunday", "at weekends")]
    columns += [_share(name, pl.col(name), f"on {name.title()}s") for name in WEEKDAYS]
    columns.append(_entropy("weekday", list(map(pl.col, WEEKDAYS)), "the seven weekdays"))
    if spec.has_times:
        slices = [f"hours_{h}" for h in range(0, DAY_HOURS, SLICE_HOURS)]
        measures |= {
            name: Measure("active", pl.col("slice"), code=number)
            for number, name in enumerate(slices)
        }
        for number, part in enumerate(PARTS):
            mine = slices[number * 2], slices[number * 2 + 1]
            columns.append(_part(number, part, pl.sum_horizontal(map(pl.col, mine))))
        columns.append(_entropy("hour", list(map(pl.col, slices)), "eight parts of the day"))
    return Family(measures, tuple(columns))


def _share(name: str, count: pl.Expr, when: str, said: str = "") -> Column:
    return column(
        f"{name}_share",
        "share",
        f"share of activities {when}",
        f"{{}} of activity {said or when}",
        count / pl.col("events"),
    )


def _part(number: int, part: str, count: pl.Expr) -> Column:
    hours = f"from {PART_HOURS * number}:00 to {PART_HOURS * (number + 1)}:00"
    return _share(part, count, hours)


def _entropy(name: str, counts: list[pl.Expr], over: str) -> Column:
    return column(
        f"{name}_entropy",
        "number",
        f"entropy (bits) of activities over {over}: 0 where all fall in one",
        f"entropy over {over} {{}}",
        entropy(counts),
    )
