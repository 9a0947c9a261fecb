"""What is off on the same day of every month is a habit, beside a naive rule and by hand."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from statistics import median

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.baseline import Rule, deviations
from events.grid import Days
from events.month_days import LEAST_MONTHS, MONTHS, by_day_of_month

EPOCH = date(1970, 1, 1)
START = date(2023, 1, 10)
DAYS = 420


def _days(first: date, count: int) -> Days:
    return Days((first - EPOCH).days, np.zeros(count, dtype=np.bool_))


def _places(day: date) -> list[int | None]:
    """From the beginning and the end of the month, then the same of the working days."""
    last = monthrange(day.year, day.month)[1]
    working = [d for d in range(1, last + 1) if date(day.year, day.month, d).weekday() < 5]
    rank = working.index(day.day) if day.day in working else None
    back = None if rank is None else len(working) - 1 - rank
    return [day.day - 1, last - day.day, rank, back]


def _naive(ratio: list[float], first: date) -> list[tuple[float, float]]:
    dates = [first + timedelta(days=n) for n in range(len(ratio))]
    found = []
    for day in dates:
        usual = [1.0]
        for kind, place in enumerate(_places(day)):
            if place is None:
                continue
            like = [
                value
                for other, value in zip(dates, ratio, strict=True)
                if 0 < abs(12 * (other.year - day.year) + other.month - day.month) <= MONTHS
                and _places(other)[kind] == place
                and not np.isnan(value)
            ]
            usual += [median(like)] if len(like) >= LEAST_MONTHS else []
        found.append((min(usual), max(usual)))
    return found


@given(
    st.dates(date(2019, 1, 1), date(2021, 1, 1)),
    st.lists(st.sampled_from([0.2, 1.0, 1.5, 7.0, float("nan")]), max_size=300),
)
@example(date(2019, 12, 31), [1.0, 3.0] * 100)
def test_the_same_day_of_the_months_around(first: date, ratio: list[float]) -> None:
    table = np.array(ratio, dtype=np.float64).reshape(-1, 1)
    least, most = by_day_of_month(np.hstack([table, table + 1]), _days(first, len(ratio)))
    assert list(zip(least[:, 0], most[:, 0], strict=True)) == _naive(ratio, first)
    assert list(most[:, 1]) == [high for _, high in _naive([r + 1 for r in ratio], first)]


def _rows() -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).poisson(80, (DAYS, 1))


def _signs(rows: npt.NDArray[np.int64]) -> list[date]:
    found = deviations(rows, np.ones_like(rows, dtype=np.bool_), Rule(), _days(START, DAYS))
    return [START + timedelta(days=int(n)) for n in np.flatnonzero(found.sign[:, 0])]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("place", [0, 14])
def test_what_comes_every_month_is_a_habit(kind: int, place: int) -> None:
    rows = _rows()
    dates = [START + timedelta(days=n) for n in range(DAYS)]
    rows[[_places(day)[kind] == place for day in dates]] *= 9
    assert _signs(rows) == []


def test_a_month_end_like_no_other_is_told() -> None:
    rows = _rows()
    ends = [n for n in range(DAYS) if (START + timedelta(days=n + 1)).day == 1]
    rows[ends] *= 9
    rows[ends[7]] *= 9
    rows[ends[7] + 9] *= 9
    assert _signs(rows) == [START + timedelta(days=n) for n in (ends[7], ends[7] + 9)]
