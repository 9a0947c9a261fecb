"""Recency, tenure and how often: what the active rows alone say."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column, days_since, last_days, within
from features.measure import ROW
from features.spec import FeatureSpec
from features.time import Window

ACTIVITIES = "{} [activity|activities]"
HALF_LIVES = (7, 30, 90)


def activity(spec: FeatureSpec) -> Family:
    """Recency, tenure, counts of activities and of active calendar days, ever and by window."""
    measures = {
        "first_ts": Measure("events", ROW, "first"),
        "last_active": Measure("active", ROW, "latest"),
        "events": Measure("active", ROW),
        "same_day": Measure("active", pl.col("day_gap") == 0, "linked"),
    }
    columns = _ever()
    for window in spec.windows:
        columns += _windowed(window)
    return Family(measures, tuple(columns))


def _active_days(window: Window | None) -> pl.Expr:
    """Every activity but those that follow one of the same day."""
    return within("events", window) - within("same_day", window)


def _ever() -> list[Column]:
    tenure = days_since("first_ts")
    share = pl.min_horizontal(_active_days(None) / pl.max_horizontal(tenure, 1.0), 1.0)
    events = within("events", None)
    return [
        column(
            "recency_days",
            "days",
            "time since the last activity",
            "last active {} ago",
            days_since("last_active"),
        ),
        column("tenure_days", "days", "time since the first event", "first seen {} ago", tenure),
        column("events_total", "count", "activities ever", f"{ACTIVITIES} in all", events),
        column(
            "active_days_total",
            "count",
            "calendar days with an activity, ever",
            "active on {} [day|days] in all",
            _active_days(None),
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
            events / _active_days(None),
        ),
    ]


def _windowed(window: Window) -> list[Column]:
    last, events = last_days(window), within("events", window)
    known = pl.min_horizontal(pl.max_horizontal(days_since("first_ts"), 1.0), float(window.days))
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
            _active_days(window),
            window,
        ),
        column(
            f"events_rate_{window}",
            "number",
            f"activities a day {last}, or since the first event if that is later",
            f"{ACTIVITIES} a day {last}",
            events / known,
            window,
        ),
    ]


def decay(spec: FeatureSpec) -> Family:
    """Activities and amounts that count half as much after each half-life."""
    measures = {
        f"decayed_{days}": Measure("active", ROW.cast(pl.Float64), "decay", True, days)
        for days in HALF_LIVES
    }
    columns = [_decayed("activity", "number", "activities", days) for days in HALF_LIVES]
    if spec.has_amount:
        measures |= {
            f"decayed_amount_{days}": Measure("purchases", pl.col("amount"), "decay", True, days)
            for days in HALF_LIVES
        }
        columns += [_decayed("amount", "money", "amounts", days) for days in HALF_LIVES]
    return Family(measures, tuple(columns))


def _decayed(measure: str, unit: str, noun: str, days: int) -> Column:
    name = f"decayed_{days}" if measure == "activity" else f"decayed_amount_{days}"
    said = "{} spent" if unit == "money" else ACTIVITIES
    return column(
        f"{measure}_decay_{days}d",
        "money" if unit == "money" else "number",
        f"{noun} ever, each halved every {days} days since",
        f"{said}, halved every {days} days",
        pl.col(name),
    )
