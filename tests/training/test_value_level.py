"""The level of value is followed from cutoff to cutoff, each counting by how well it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import Floats
from training.rows import Rows
from training.value_level import DRIFT, MOST_ROWS, SHOCK, Level, followed, levels_of, some_users

HORIZON = 30.0
NUMBER = st.floats(-3.0, 3.0)
VARIANCE = st.floats(0.0, 2.0)


def _rows(value: Floats, users: list[str] | None = None, day: Floats | None = None) -> Rows:
    n = len(value)
    names = np.array(users or [f"u{k}" for k in range(n)])
    days = np.zeros(n) if day is None else day
    x = np.zeros((n, 1), np.float32)
    return Rows(("a",), x, np.zeros(n), value, np.arange(n) % 5, names, days)


def test_one_cutoff_is_its_own_level() -> None:
    (level,) = levels_of(np.log([1.0, 3.0]), _rows(np.array([10.0, 30.0])))
    assert followed([level], HORIZON) == pytest.approx(10.0)
    assert level.variance == pytest.approx(0.0)


def test_the_variance_is_that_of_a_ratio_over_users() -> None:
    """Sums 12 and 4: ratio 3; the users are missed by 1 + 2 and by -3 in one window after another,
    so each user's 3 is squared as a whole: (9 + 9) / 144."""
    margin = np.zeros(4)
    value = np.array([4.0, 5.0, 2.0, 1.0])
    (level,) = levels_of(margin, _rows(value, ["one", "one", "two", "two"]))
    assert level.log == pytest.approx(np.log(3))
    assert level.variance == pytest.approx(18 / 144)


def test_a_cutoff_that_brought_nothing_has_no_level() -> None:
    rows = _rows(np.array([0.0, -1.0, 5.0]), day=np.array([0.0, 0.0, 30.0]))
    assert [level.day for level in levels_of(np.zeros(3), rows)] == [30.0]


def test_one_large_buyer_does_not_make_the_level() -> None:
    """A thousand users of 1 each, and as many later of whom one brings as much as all others."""
    many = np.ones(1000)
    whale = np.r_[np.ones(999), 1001.0]
    day = np.r_[np.zeros(1000), np.full(1000, HORIZON)]
    names = [f"u{k}" for k in range(2000)]
    levels = levels_of(np.zeros(2000), _rows(np.r_[many, whale], names, day))
    assert levels[1].log == pytest.approx(np.log(2))
    assert 1.0 < followed(levels, HORIZON) < 1.2


def test_what_all_users_say_later_counts_most() -> None:
    """Both well known: gain = (SHOCK² + DRIFT²) / (2 SHOCK² + DRIFT²) = .05 / .06."""
    levels = [Level(0.0, 0.0, 0.0), Level(HORIZON, 0.6, 0.0)]
    gain = (SHOCK**2 + DRIFT**2) / (2 * SHOCK**2 + DRIFT**2)
    assert np.log(followed(levels, HORIZON)) == pytest.approx(gain * 0.6)
    assert np.log(followed(levels, HORIZON)) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 9), NUMBER, VARIANCE), min_size=1, max_size=8))
def test_it_is_the_best_linear_forecast(seen: list[tuple[int, float, float]]) -> None:
    """Oracle: generalised least squares with the whole covariance of what was seen."""
    levels = [Level(30.0 * k, log, variance) for k, log, variance in seen]
    days = np.array([level.day for level in levels])
    newest = days.max()
    # Walked back from the newest cutoff: levels differ from its own by the steps in between.
    back = newest - days
    walk = DRIFT**2 / HORIZON * np.minimum.outer(back, back)
    cover = walk + np.diag([level.variance + SHOCK**2 for level in levels])
    weight = np.linalg.solve(cover, np.ones(len(levels)))
    best = weight @ np.array([level.log for level in levels]) / weight.sum()
    assert np.log(followed(levels, HORIZON)) == pytest.approx(best, abs=1e-6)


def test_a_large_log_is_looked_at_by_a_fold_of_its_users() -> None:
    rows = _rows(np.ones(MOST_ROWS + 5))
    assert some_users(rows.where(rows.fold < 4)).fold.max() == 3
    assert set(some_users(rows).fold.tolist()) == {0}
