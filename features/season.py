"""The calendar at the cutoff: season, weekday, and the days from and to holidays.

They are the same for every user of a cutoff, so they only say something where there are many
cutoffs; the set 'full' alone has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import polars as pl

from features.family import Column, Family, column
from features.measure import DAY_US
from features.spec import FeatureSpec

YEAR_DAYS = 365.25
INSTANT = pl.Datetime("us", "UTC")


def season(spec: FeatureSpec) -> Family:
    """Sine and cosine of the day of the year, the weekday, and holidays where some are named."""
    local = pl.col("cutoff").dt.convert_time_zone(spec.timezone)
    angle = local.dt.ordinal_day().cast(pl.Float64) * (2 * math.pi / YEAR_DAYS)
    columns = [
        column("season_sine", "number", "sine of the day of the year", "season {}", angle.sin()),
        column(
            "season_cosine", "number", "cosine of the day of the year", "season {}", angle.cos()
        ),
        column(
            "cutoff_weekday",
            "count",
            "weekday of the cutoff, 1 is Monday",
            "weekday {}",
            local.dt.weekday().cast(pl.Int64),
        ),
    ]
    return Family(columns=(*columns, *(_holidays(spec) if spec.holidays else ())))


def _holidays(spec: FeatureSpec) -> list[Column]:
    zone = ZoneInfo(spec.timezone)
    instants = [datetime.combine(day, time(), zone).astimezone(UTC) for day in spec.holidays]
    return [
        column(
            "days_to_holiday",
            "days",
            "time to the next holiday of the list",
            "next holiday in {}",
            _nearest(instants, ahead=True),
            missing="no later holiday is named",
        ),
        column(
            "days_since_holiday",
            "days",
            "time since the last holiday of the list",
            "last holiday {} ago",
            _nearest(instants, ahead=False),
            missing="no earlier holiday is named",
        ),
    ]


def _nearest(instants: Sequence[datetime], *, ahead: bool) -> pl.Expr:
    away = []
    for instant in instants:
        apart = pl.lit(instant, dtype=INSTANT) - pl.col("cutoff")
        days = apart.dt.total_microseconds() / DAY_US * (1 if ahead else -1)
        away.append(pl.when(days >= 0).then(days))
    return pl.min_horizontal(away)
