"""Habits of the month: salaries, bills and interest come on the same day of each.

A month's days are counted from its beginning and from its end, all of them and the working days.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from events.grid import Days
from events.medians import Floats, median

Places = npt.NDArray[np.int64]

MONTHS = 4  # on each side
LEAST_MONTHS = 3
_MOST_DAYS = 31


def by_day_of_month(ratio: Floats, days: Days) -> tuple[Floats, Floats]:
    """By what factors the same day of the months around is off: the least and the most of four
    medians, at most and at least 1, shape (days, series); 1 where fewer than three are known.

    `ratio`: rows over those expected, shape (days, series), NaN where nothing was.
    """
    least, most = np.ones_like(ratio), np.ones_like(ratio)
    month = days.dates.astype("datetime64[M]").astype(np.int64)
    month -= month[:1]
    for place in _places(days):
        inside = place >= 0
        at = (month[inside], place[inside])
        table = np.full((int(month[-1:].sum()) + 1, _MOST_DAYS, ratio.shape[1]), np.nan)
        table[at] = ratio[inside]
        usual = _around(table)[at]
        least[inside] = np.fmin(least[inside], usual)
        most[inside] = np.fmax(most[inside], usual)
    return least, most


def _places(days: Days) -> Iterator[Places]:
    """From 0; below 0 on days that are not counted."""
    dates = days.dates
    first = dates.astype("datetime64[M]").astype("datetime64[D]")
    last = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1
    yield (dates - first).astype(np.int64)
    yield (last - dates).astype(np.int64)
    works = np.is_busday(dates)
    yield np.where(works, np.busday_count(first, dates), -1)
    yield np.where(works, np.busday_count(dates, last + 1) - 1, -1)


def _around(table: Floats) -> Floats:
    """The median of the months before and after, shape (months, 31, series)."""
    around = np.full((2 * MONTHS, *table.shape), np.nan)
    for shift in range(1, MONTHS + 1):
        if shift < len(table):
            around[shift - 1, shift:] = table[:-shift]
            around[MONTHS + shift - 1, :-shift] = table[shift:]
    known = np.isfinite(around).sum(axis=0) >= LEAST_MONTHS
    return np.where(known, median(around, axis=0), 1.0)
