"""How often the rules are wrong where nothing is: the rates that docs/tracking.md states."""

from __future__ import annotations

import numpy as np
import pytest

from events.baseline import Rule, common_factor, deviations
from events.grid import Days
from events.rhythm import moved_clocks
from events.shares import shifts

DAYS, SERIES = 364, 30
WEEKLY = np.array([1.0, 1.05, 1.0, 1.1, 1.3, 1.8, 1.6])


def volumes(seed: int) -> np.ndarray:
    """A year of cells from 2 to 3,000 rows a day: a week, a season, days that are busier than
    chance all at once and each for itself, and ten holidays that nobody has named."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.uniform(np.log(2), np.log(3000), SERIES))
    day = np.arange(DAYS)
    rate = WEEKLY[day % 7] * (1 + 0.2 * np.sin(day / 58)) * rng.gamma(100, 1 / 100, DAYS)
    rate[rng.choice(DAYS, 10, replace=False)] *= 0.6
    return rng.poisson(rate[:, None] * mean * rng.gamma(80, 1 / 80, (DAYS, SERIES)))


def test_volume_is_wrong_less_than_once_in_90_days() -> None:
    alarms, worlds = 0, 12
    for seed in range(worlds):
        rows = volumes(seed)
        alive, none = np.ones(rows.shape, np.bool_), Days(0, np.zeros(DAYS, np.bool_))
        plain = deviations(rows, alive, Rule(), none)
        common = common_factor(rows, plain.expected, 30)
        alarms += np.abs(deviations(rows, alive, Rule(), none, common).sign).sum()
    assert alarms <= worlds * DAYS / 90 / 4


def test_shares_are_wrong_less_than_once_in_90_days() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):  # series of a year
        whole = rng.poisson(rng.uniform(20, 500), DAYS)
        usual = rng.uniform(0.02, 0.98)
        part = rng.binomial(whole, np.clip(usual + rng.normal(0, 0.02, DAYS), 0, 1))
        alarms += len(shifts(part, whole, 0.2, down=True))
    assert alarms <= 200 / 30 * DAYS / 90 / 4


def test_clocks_are_wrong_less_than_once_in_90_days() -> None:
    rng = np.random.default_rng(2)
    hours = np.exp(np.sin((np.arange(24) - 14) / 24 * 2 * np.pi) * 1.5)
    alarms = 0
    for mean in (40, 100, 400, 3000):
        share = hours / hours.sum()
        visits = np.stack([rng.poisson(mean * share) for _ in range(DAYS)])
        alarms += len(moved_clocks(visits, np.zeros(DAYS, np.bool_)))
    assert alarms <= DAYS / 90


@pytest.mark.parametrize("hours", [3, 7, 12, 20])
def test_a_move_of_a_fifth_of_the_clocks_is_seen_and_named(hours: int) -> None:
    rng = np.random.default_rng(hours)
    share = np.exp(np.sin((np.arange(24) - 14) / 24 * 2 * np.pi) * 1.5)
    share /= share.sum()
    mixed = 0.8 * share + 0.2 * np.roll(share, hours)
    visits = np.stack(
        [rng.poisson(1000 * (mixed if 200 <= d < 210 else share)) for d in range(300)]
    )
    (found,) = moved_clocks(visits, np.zeros(300, np.bool_))
    assert abs(found.start - 200) <= 1
    assert abs(found.end - 210) <= 1
    assert abs(found.move.hours - hours) <= 1
    assert found.move.share == pytest.approx(0.2, abs=0.08)


def test_a_level_that_stays_is_one_shift_that_lasts() -> None:
    """By hand: none of 50 for 60 days, all of 50 for 60 more."""
    whole = np.full(120, 50)
    (found,) = shifts(np.where(np.arange(120) < 60, 0, 50), whole, 0.2, down=False)
    assert (found.start, found.end, found.lasting) == (60, 120, True)
    assert (found.found, found.usual) == (1.0, 0.0)
