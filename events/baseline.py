"""What a day is to be expected to have: the median of its weekday in the weeks around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from events.grid import Counts, Days, Flags
from events.medians import Floats, median
from events.month_days import by_day_of_month

Signs = npt.NDArray[np.int8]

WEEKS = 4  # on each side
LEAST_BEFORE = 2  # a log that begins ramps up: nothing is said of its first two weeks
LEAST_WEEKS = 4
LEAST_EXPECTED = 1.0  # rows a day: what comes more rarely has no level to be far above of
HOLIDAY_FACTOR = 2.0  # how much further off a known holiday must be
_NORMAL = 1.4826  # makes a median absolute deviation a standard deviation
_ANSCOMBE = 3 / 8


@dataclass(frozen=True)
class Rule:
    """How far off a day must be: `scales` deviations, and by a factor of `drop` or `spike`."""

    scales: float = 5.0
    drop: float = 2.0
    spike: float = 2.5


@dataclass(frozen=True)
class Deviations:
    """Shapes (days, series): `expected` rows (NaN: unknown), and `sign`: 1 too many, -1 too few,
    0 neither."""

    expected: Floats
    sign: Signs


def deviations(
    rows: Counts, alive: Flags, rule: Rule, days: Days, common: Floats | None = None
) -> Deviations:
    """Each day against the median of its weekday in the four weeks before and after.

    On the scale 2 sqrt(rows + 3/8), where a Poisson count has deviation 1 (Anscombe 1948). A
    day deviates where it is `scales` off and by the factor; the scale is the largest of the
    weekday's MAD, the MAD of all the series' days from their own medians, and 1. `common`, shape
    (days, 1) or (days, series): by what factor the rest of the log is off on a day; what is off
    likewise is no fault of this series, nor is what is off likewise on the same day of the months
    around. Holidays are in no other day's median, and are off only at twice the factor.
    """
    holiday = days.holiday
    level = np.where(alive, 2 * np.sqrt(rows + _ANSCOMBE), np.nan)
    around, before = _same_weekdays(np.where(holiday[:, None], np.nan, level))
    weeks = np.isfinite(around).sum(axis=0)
    known = (weeks >= LEAST_WEEKS) & (before >= LEAST_BEFORE) & alive
    middle = median(around, axis=0)
    spread = _NORMAL * median(np.abs(around - middle), axis=0)
    expected = np.where(known, np.fmax((middle / 2) ** 2 - _ANSCOMBE, 0), np.nan)
    factor = np.ones((len(rows), 1)) if common is None else common
    least, most = by_day_of_month((rows + _ANSCOMBE) / (expected + _ANSCOMBE), days)
    low, high = expected * np.fmin(factor, least), expected * np.fmax(factor, most)
    under = 2 * np.sqrt(low + _ANSCOMBE) - level
    over = level - 2 * np.sqrt(high + _ANSCOMBE)
    away = np.fmax(np.fmax(under, over), 0)
    pooled = _NORMAL * median(np.where(known, np.abs(level - middle), np.nan), axis=0)
    scale = rule.scales * np.fmax(np.fmax(spread, pooled[None, :]), 1.0)
    scale *= np.sqrt(1 + np.pi / 2 / np.fmax(weeks, 1))  # the median errs too
    far = known & (away > scale)
    times = np.where(holiday, HOLIDAY_FACTOR, 1.0)[:, None]
    many = far & (rows > rule.spike * times * high) & (high >= LEAST_EXPECTED)
    few = far & (rows * rule.drop * times < low)
    return Deviations(expected, many.astype(np.int8) - few.astype(np.int8))


def common_factor(rows: Counts, expected: Floats, least: float) -> Floats:
    """By what factor most series with at least `least` expected rows are off on each day, shape
    (days, 1): the median, of two the one nearer to 1; 1 where there are not two."""
    with np.errstate(divide="ignore", invalid="ignore"):
        large = np.where(expected >= least, expected, np.nan)
        ratio = np.log((rows + _ANSCOMBE) / (large + _ANSCOMBE))
    ordered = np.sort(ratio, axis=1)
    known = np.isfinite(ordered).sum(axis=1, keepdims=True)
    last = ratio.shape[1] - 1
    low = np.take_along_axis(ordered, np.clip((known - 1) // 2, 0, last), axis=1)
    high = np.take_along_axis(ordered, np.clip(known // 2, 0, last), axis=1)
    nearer = np.where(np.abs(low) <= np.abs(high), low, high)
    return np.where(known >= 2, np.exp(np.where(known >= 2, nearer, 0)), 1.0)  # noqa: PLR2004


def _same_weekdays(level: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The level 1 to 4 weeks before and after, shape (8, days, series), NaN outside; and how
    many of those before are known."""
    days = len(level)
    around = np.full((2 * WEEKS, *level.shape), np.nan)
    for week in range(1, WEEKS + 1):
        shift = 7 * week
        if shift < days:
            around[week - 1, shift:] = level[:-shift]
            around[WEEKS + week - 1, :-shift] = level[shift:]
    return around, np.isfinite(around[:WEEKS]).sum(axis=0)
