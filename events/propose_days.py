"""Numbers that are days: as Excel counts them, since 1970, or since a day that nobody has told; and
numbers that are seconds since a log began, whenever that was."""

from __future__ import annotations

import numpy as np
import polars as pl

from events.propose_words import words_of

EXCEL = "days since 1899-12-30"
SINCE_1970 = "days since 1970-01-01"
UNTOLD = "days since 2000-01-01"
DAYS = ("day", "date", "datum", "dt", "tag", "fecha", "dia", "jour", "data", "giorno", "dag")
_NO_DAY = ("of", "since", "per", "until", "week", "month", "year", "last", "first", "next", "prior")
_EXCEL = (32_874, 73_050)  # 1990 to 2099, as Excel counts
_SINCE_1970 = (7_305, 32_873)  # 1990 to 2059, as Unix counts
_MONTH = 31  # days of a month are no days of a log
ELAPSED = {  # the most that a log has, some ten years; the least is three days
    "seconds since 2000-01-01": 320_000_000,
    "milliseconds since 2000-01-01": 320_000_000_000,
}
_SHORTEST = 259_200 / 320_000_000
_CLOCKS = {"timestamp", "ts", "time", "t", "elapsed", "seconds", "secs", "unixts"}
_UNNAMED = "column"  # with a number after it
_FROM_NOTHING = 0.05  # of the span, at most, lies before the first row
_IN_ORDER = 0.99  # of the steps from row to row, at least, do not go back


def day_format(text: pl.Series) -> str | None:
    """The time format of a column of numbers that is called a day; None where it is none."""
    words = words_of(text.name)
    if not set(words) & set(DAYS) or set(words) & set(_NO_DAY):
        return None
    numbers = text.cast(pl.Float64(), strict=False).drop_nulls()
    least, most = numbers.min(), numbers.max()
    if not isinstance(least, float) or not isinstance(most, float):
        return None
    for (low, high), found in ((_EXCEL, EXCEL), (_SINCE_1970, SINCE_1970)):
        if low <= least and most < high + 1:
            return found
    whole = bool((numbers == numbers.round()).all())
    return UNTOLD if whole and _MONTH < most < _SINCE_1970[0] and least > -_SINCE_1970[0] else None


def elapsed_format(text: pl.Series) -> str | None:
    """The same of a column of what has passed since the log began, in rows that lie in order of
    time. Row numbers, and what is called otherwise, are none."""
    words = set(words_of(text.name))
    if not words & {*_CLOCKS, _UNNAMED} or words & set(_NO_DAY):
        return None
    numbers = text.cast(pl.Float64(), strict=False).drop_nulls().to_numpy()
    steps = np.diff(numbers)
    if not len(steps) or np.mean(steps >= 0) < _IN_ORDER or np.all(steps == steps[0]):
        return None
    least, most = numbers.min(), numbers.max()
    if not 0 <= least <= _FROM_NOTHING * most:
        return None
    fits = (name for name, longest in ELAPSED.items() if _SHORTEST <= most / longest <= 1)
    return next(fits, None)
