"""Calendar periods of a time zone as whole numbers, so that their distance is a subtraction.

Days count from 1970-01-01, weeks begin on Monday, months are the calendar's. A day of 23 or
25 hours (daylight saving) is one day.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import polars as pl

from runtime.clock import local_midnight
from runtime.errors import UsageError

Period = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)

_EPOCH = date(1970, 1, 1)
_THURSDAY = 3  # the epoch's weekday, Monday being 0
_WEEK = 7
_YEAR = 12


def known_period(name: str) -> Period:
    """Raises UsageError."""
    for period in PERIODS:
        if name == period:
            return period
    raise UsageError(f"period '{name}' is not known; choose one of {', '.join(PERIODS)}")


def period_of(instants: pl.Expr, period: Period, zone: str) -> pl.Expr:
    """The number of the period that each UTC instant falls in, Int32."""
    local = instants.dt.convert_time_zone(zone)
    if period == "month":
        return local.dt.year().cast(pl.Int32) * _YEAR + local.dt.month().cast(pl.Int32) - 1
    day = local.dt.date().cast(pl.Int32)
    return day if period == "day" else (day + _THURSDAY) // _WEEK


def period_at(instant: datetime, period: Period, zone: str) -> int:
    """The number of the period that an instant falls in."""
    day = instant.astimezone(ZoneInfo(zone)).date()
    if period == "month":
        return day.year * _YEAR + day.month - 1
    number = (day - _EPOCH).days
    return number if period == "day" else (number + _THURSDAY) // _WEEK


def first_day(number: int, period: Period) -> date:
    """The first calendar day of a period."""
    if period == "month":
        return date(number // _YEAR, number % _YEAR + 1, 1)
    days = number if period == "day" else number * _WEEK - _THURSDAY
    return _EPOCH + timedelta(days=days)


def begins(number: int, period: Period, zone: str) -> datetime:
    """The first instant of a period, in UTC."""
    return local_midnight(first_day(number, period), zone)
