"""From a mean to a distribution: order, ties, scale, and coverage of users who were left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from oracles.ordered_naive import naive_cdf

from training.metrics import Floats
from training.ordered import MOST_BINS, MOST_STEPS, MOST_TOP, fit_ordered, thresholds_of
from training.spread import LEVELS, Spread, interval
from training.spread_metrics import coverage, pinball
from training.worth import Names, Worth, fit_worth

SEEDS = st.integers(0, 2**31 - 1)
slowly = trials(deadline=None, max_examples=40)
ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(-2, 4), st.integers(1, 3)), min_size=1, max_size=14
)


def buyers(seed: int, n: int) -> tuple[Floats, Floats]:
    """Means of people of whom some buy nothing, and what they spend: right on average."""
    random = np.random.default_rng(seed)
    mean = np.exp(random.normal(3, 1, n))
    chance = mean / (mean + 20)
    amount = mean / chance * random.gamma(2, 0.5, n)
    return mean, np.where(random.random(n) < chance, amount, 0.0)


def odd(seed: int) -> tuple[Floats, Floats]:
    """Few or many rows, ties in both, refunds, means of nothing."""
    random = np.random.default_rng(seed)
    n = int(random.choice([1, 2, 7, 60, 900]))
    mean = np.round(random.exponential(10, n), int(random.integers(0, 4)))
    value = np.round(random.normal(mean / 2, mean + 1), int(random.integers(0, 3)))
    return mean, np.where(random.random(n) < 0.4, 0.0, value)


def worth_of(mean: Floats, value: Floats, users: Names | None = None) -> Worth:
    found = fit_worth(mean, value, users)
    assert found is not None
    return found


@slowly
@given(ROWS)
def test_each_threshold_is_regressed_as_the_formula_says(rows: list[tuple[int, int, int]]) -> None:
    number, value, weight = (np.array(column, float) for column in zip(*rows, strict=True))
    found = fit_ordered(number, value, weight, least_rows=0.1)
    naive = naive_cdf(number.tolist(), value.tolist(), weight.tolist())
    assert found.number.tolist() == sorted(set(number.tolist()))
    assert found.thresholds.tolist() == sorted(set(value.tolist()))
    expected = [[naive[at, t] for t in found.thresholds] for at in found.number]
    assert found.cdf == pytest.approx(np.array(expected))


def test_many_rows_take_few_bins_and_few_thresholds() -> None:
    mean, value = buyers(0, 20_000)
    found = fit_ordered(mean, value, np.ones(len(mean)))
    assert found.cdf.shape[0] == MOST_BINS
    assert 0.0 in found.thresholds
    assert value.max() in found.thresholds
    assert found.cdf.shape[1] <= MOST_STEPS + MOST_TOP + 1
    assert (np.diff(found.cdf, axis=1) >= 0).all()
    assert (np.diff(found.cdf, axis=0) <= 1e-12).all()


def test_thresholds_of_refunds_and_of_purchases() -> None:
    value = np.r_[np.linspace(-5, -1, 2000), np.zeros(10), np.linspace(1, 9, 2000)]
    found = thresholds_of(value)
    assert (found[0], found[-1]) == (-5.0, 9.0)
    assert 0.0 in found
    assert (np.diff(found) > 0).all()
    assert len(found) <= 2 * (MOST_STEPS + MOST_TOP) + 1


@slowly
@given(SEEDS)
def test_more_is_expected_of_more_and_no_quantile_crosses(seed: int) -> None:
    worth = worth_of(*odd(seed))
    asked = np.sort(np.r_[0.0, np.random.default_rng(seed).exponential(20, 50), worth.means, 1e6])
    spread = worth.spread(asked)
    assert np.isfinite(spread.quantiles).all()
    assert (np.diff(spread.quantiles, axis=1) >= 0).all()
    slack = 1e-9 * (1 + np.abs(spread.quantiles[1:]))
    assert (np.diff(spread.quantiles, axis=0) >= -slack).all()
    assert np.array_equal(spread.mean, asked)
    low, high = interval(spread)
    assert ((low <= spread.median) & (spread.median <= high)).all()


@slowly
@given(SEEDS, st.sampled_from([2.0**-7, 2.0, 2.0**20]))
def test_another_currency_changes_nothing(seed: int, rate: float) -> None:
    mean, value = odd(seed)
    asked = np.linspace(0, 2 * mean.max() + 1, 40)
    here = worth_of(mean, value).spread(asked)
    there = worth_of(rate * mean, rate * value).spread(rate * asked)
    assert there.quantiles == pytest.approx(rate * here.quantiles, rel=1e-9)


@slowly
@given(SEEDS)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    mean, value = odd(seed)
    random = np.random.default_rng(seed)
    users = random.integers(0, 1 + len(mean) // 2, len(mean)).astype(np.str_)
    turned = random.permutation(len(mean))
    for names in (None, users):
        one = worth_of(mean, value, names)
        other = worth_of(mean[turned], value[turned], None if names is None else names[turned])
        assert one.to_dict() == other.to_dict()


@slowly
@given(SEEDS)
def test_a_row_is_read_alone_as_among_others(seed: int) -> None:
    mean, value = odd(seed)
    worth = worth_of(mean, value)
    asked = np.random.default_rng(seed).exponential(15, 20)
    whole = worth.spread(asked).quantiles
    alone = np.vstack([worth.spread(asked[i : i + 1]).quantiles for i in range(len(asked))])
    assert np.array_equal(alone, whole)
    assert worth.spread(np.empty(0)).quantiles.shape == (0, len(LEVELS))


@slowly
@given(SEEDS)
def test_json_keeps_every_bit(seed: int) -> None:
    worth = worth_of(*odd(seed))
    again = Worth.from_dict(json.loads(json.dumps(worth.to_dict())))
    asked = np.linspace(0, 100, 30)
    assert np.array_equal(again.spread(asked).quantiles, worth.spread(asked).quantiles)
    assert again.to_dict() == worth.to_dict()


def test_bins_left_out_are_those_that_say_nothing_more() -> None:
    mean, value = buyers(3, 20_000)
    worth = worth_of(mean, value)
    assert len(worth.means) < MOST_BINS
    same = (worth.quantiles[1:] == worth.quantiles[:-1]).all(1)
    assert not (same[1:] & same[:-1]).any()


def test_a_user_counts_once_however_many_rows() -> None:
    mean, value = buyers(1, 60)
    names = np.array([f"u{i:02d}" for i in range(60)])
    once = worth_of(mean, value, names)
    often = np.r_[np.arange(60), np.repeat(np.arange(5), 30)]
    again = worth_of(mean[often], value[often], names[often])
    asked = np.linspace(1, 100, 20)
    assert again.spread(asked).quantiles == pytest.approx(once.spread(asked).quantiles)


def test_beyond_the_largest_mean_the_upper_half_grows_with_it() -> None:
    mean, value = buyers(2, 3000)
    worth = worth_of(mean, value)
    top = worth.means[-1]
    at, beyond = worth.spread(np.array([top])), worth.spread(np.array([3 * top]))
    upper = np.array(LEVELS) >= 0.5
    assert beyond.quantiles[:, upper] == pytest.approx(3 * at.quantiles[:, upper])
    assert np.array_equal(beyond.quantiles[:, ~upper], at.quantiles[:, ~upper])
    assert at.at(0.95)[0] > 0
    below = worth.spread(np.array([0.0, worth.means[0]]))
    assert np.array_equal(below.quantiles[0], below.quantiles[1])


def test_refunds_stay_when_means_grow() -> None:
    mean, value = np.full(400, 5.0), np.linspace(-20, 5, 400)
    near, far = (worth_of(mean, value).spread(np.array([m])) for m in (5.0, 50.0))
    negative = near.quantiles < 0
    assert negative[0, LEVELS.index(0.6)]
    assert np.array_equal(far.quantiles[negative], near.quantiles[negative])
    assert far.quantiles[~negative] == pytest.approx(10 * near.quantiles[~negative])


@pytest.mark.parametrize("mean", [0.0, 7.0])
def test_one_mean_for_all_gives_the_distribution_of_all(mean: float) -> None:
    value = np.random.default_rng(0).exponential(10, 2000)
    found = worth_of(np.full(2000, mean), value).spread(np.array([mean]))
    assert found.quantiles[0] == pytest.approx(np.quantile(value, LEVELS), rel=0.1, abs=0.1)


def test_nobody_teaches_nothing() -> None:
    nobody = np.empty(0)
    assert fit_worth(nobody, nobody) is None
    assert fit_worth(np.array([np.nan]), np.array([1.0])) is None
    one = worth_of(np.array([3.0, np.inf]), np.array([4.0, 5.0]))
    assert (one.spread(np.array([3.0])).quantiles == 4.0).all()


@pytest.mark.parametrize(("n", "near"), [(300, 0.03), (5000, 0.015)])
def test_intervals_hold_what_they_say_of_users_not_seen(n: int, near: float) -> None:
    """Also of those worth the most, where a table fitted too closely would fail."""
    found, ends = [], []
    for seed in range(12):
        spread, value = _told(seed, n)
        low, high = interval(spread)
        ones = np.ones(len(value))
        found.append(float(coverage(value, low, high, ones)))
        rich = spread.mean > np.quantile(spread.mean, 0.9)
        ends.append(float(coverage(value[rich], low[rich], high[rich], ones[rich])))
    assert np.mean(found) == pytest.approx(0.9, abs=near)
    assert np.mean(ends) == pytest.approx(0.9, abs=2 * near)


def test_of_few_rows_intervals_are_wide_rather_than_narrow() -> None:
    found = []
    for seed in range(20):
        spread, value = _told(seed, 40)
        low, high = interval(spread)
        found.append(float(np.mean((low <= value) & (value <= high))))
    assert 0.9 <= np.mean(found) <= 0.985


def _told(seed: int, n: int) -> tuple[Spread, Floats]:
    mean, value = buyers(seed, n)
    asked, real = buyers(seed + 1000, 4000)
    return worth_of(mean, value).spread(asked), real


def test_the_median_has_less_absolute_error_than_the_mean() -> None:
    spread, value = _told(5, 5000)
    ones = np.ones(len(value))
    assert pinball(value, spread.median, 0.5, ones) < 0.97 * pinball(value, spread.mean, 0.5, ones)


@pytest.mark.parametrize("seed", range(5))
def test_every_quantile_is_exceeded_as_often_as_it_says(seed: int) -> None:
    spread, value = _told(seed, 4000)
    for k, level in enumerate(LEVELS):
        at_most = float(np.mean(value <= spread.quantiles[:, k]))
        less = float(np.mean(value < spread.quantiles[:, k]))
        assert less - 0.03 <= level <= at_most + 0.03
