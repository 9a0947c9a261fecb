"""Metrics against scikit-learn and SciPy, and against their own definitions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from training import metrics as m
from training.bootstrap import draw_weights, interval, over_users


def _sample(seed: int, n: int = 500, levels: int = 20) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    predicted = random.integers(1, levels, n) / levels
    actual = (random.random(n) < predicted).astype(float)
    return actual, predicted


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_churn_metrics_equal_scikit_learns(levels: int) -> None:
    actual, predicted = _sample(1, levels=levels)
    weights = np.random.default_rng(2).integers(0, 4, len(actual)).astype(float)
    found = m.churn_metrics(actual, predicted, weights)
    oracle = {
        "roc_auc": roc_auc_score(actual, predicted, sample_weight=weights),
        "average_precision": average_precision_score(actual, predicted, sample_weight=weights),
        "log_loss": log_loss(actual, predicted, sample_weight=weights),
        "brier": brier_score_loss(actual, predicted, sample_weight=weights),
        "base_rate": np.average(actual, weights=weights),
    }
    for name, value in oracle.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("levels", [4, 10**6])
def test_spearman_equals_scipys(levels: int) -> None:
    random = np.random.default_rng(3)
    actual = np.where(random.random(400) < 0.5, 0.0, random.exponential(10, 400))
    predicted = np.floor(actual + random.normal(0, 20, 400) * levels) / levels
    found = m.spearman(actual, predicted, np.ones(400))
    assert float(found) == pytest.approx(spearmanr(actual, predicted).statistic, abs=1e-12)


@given(seed=st.integers(0, 10**6), levels=st.sampled_from([2, 7, 10**6]))
@settings(max_examples=40, deadline=None)
def test_a_weight_counts_a_row_that_many_times(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    actual, predicted = _sample(seed, 60, levels)
    amounts = np.floor(random.exponential(3, 60))
    weights = random.integers(0, 4, 60).astype(float)
    again = np.repeat(np.arange(60), weights.astype(int))
    for measure, target in ((m.churn_metrics, actual), (m.value_metrics, amounts)):
        weighed = measure(target, predicted, weights)
        repeated = measure(target[again], predicted[again], np.ones(len(again)))
        for name, value in repeated.items():
            assert float(weighed[name]) == pytest.approx(float(value), abs=1e-9, nan_ok=True), name


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_ties_take_the_mean_over_orders_and_row_order_never_matters(seed: int) -> None:
    random = np.random.default_rng(seed)
    actual, predicted = _sample(seed, 40, 5)
    weights = np.ones(40)
    gains = []
    for _ in range(400):
        broken = predicted + random.random(40) * 1e-6
        gains.append(float(m.gain_at(m.ranked(actual, broken, weights), 0.1)))
    found = float(m.gain_at(m.ranked(actual, predicted, weights), 0.1))
    if np.isfinite(found):
        assert found == pytest.approx(np.mean(gains), abs=0.05)
    mixed = random.permutation(40)
    first = m.churn_metrics(actual, predicted, weights)
    second = m.churn_metrics(actual[mixed], predicted[mixed], weights)
    for name, value in first.items():
        assert float(second[name]) == pytest.approx(float(value), abs=1e-12, nan_ok=True)


def test_pinned_values_of_a_worked_example() -> None:
    actual = np.array([1.0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    predicted = np.linspace(0.95, 0.05, 10)
    found = m.churn_metrics(actual, predicted, np.ones(10))
    assert float(found["gain_at_10pct"]) == 0.5
    assert float(found["lift_at_10pct"]) == 5.0
    assert float(found["gain_at_5pct"]) == 0.25
    assert float(found["ece"]) == pytest.approx(
        np.abs(predicted - actual).mean()  # ten bins of one row each
    )


@pytest.mark.parametrize("rows", [40, 300, 5_000])
@pytest.mark.parametrize("tied", [False, True])
def test_the_error_of_calibration_by_chance_is_that_of_outcomes_drawn(
    rows: int, tied: bool
) -> None:
    random = np.random.default_rng(rows)
    p = random.beta(1.0, 3.0, rows)
    p = np.round(p, 1) if tied else p
    drawn = (random.random((400, rows)) < p).astype(float)
    ones = np.ones(rows)
    errors = [float(m.calibration_error(one, p, ones)) for one in drawn]
    assert m.calibration_error_by_chance(p) == pytest.approx(np.mean(errors), rel=0.06)


def test_who_is_sure_errs_by_no_chance() -> None:
    assert m.calibration_error_by_chance(np.array([0.0, 1.0, 1.0])) == 0
    assert np.isnan(m.calibration_error_by_chance(np.zeros(0)))


def test_gini_is_one_for_the_perfect_order_and_zero_for_none() -> None:
    actual = np.array([0.0, 0, 0, 5, 1, 20])
    weights = np.ones(6)
    assert float(m.normalized_gini(actual, actual, weights)) == pytest.approx(1)
    assert float(m.normalized_gini(actual, -actual, weights)) == pytest.approx(-1)
    assert float(m.normalized_gini(actual, np.ones(6), weights)) == pytest.approx(0)


def test_what_is_undefined_is_nan() -> None:
    ones = np.ones(5)
    found = m.churn_metrics(ones, np.linspace(0, 1, 5), ones)
    assert np.isnan(found["roc_auc"])
    assert np.isnan(m.value_metrics(0 * ones, ones, ones)["normalized_gini"])
    assert np.isnan(m.value_metrics(0 * ones, ones, ones)["nmae"])


@pytest.mark.filterwarnings("error")
def test_a_draw_of_nobody_is_undefined_and_leaves_the_others_alone() -> None:
    """Of two users, one draw in seven takes neither."""
    actual, predicted = np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.7, 0.4])
    weights = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    for measure in (m.churn_metrics, m.value_metrics):
        alone = measure(actual, predicted, weights[1])
        for name, (nobody, some) in measure(actual, predicted, weights).items():
            assert np.isnan(nobody), name
            assert some == alone[name], name


def test_draws_give_the_rows_of_one_user_one_weight() -> None:
    users = np.array(["b", "a", "b", "c", "a"])
    (weights,) = draw_weights(users, 50, seed=1)
    assert weights.shape == (50, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] != weights[:, 3]).any()


def test_an_interval_of_a_rate_is_as_wide_as_theory_says() -> None:
    actual, predicted = _sample(4, 4000)
    users = np.arange(4000).astype(str)
    draws = over_users(lambda w: m.churn_metrics(actual, predicted, w), users, 2000, seed=0)
    low, high = interval(draws["base_rate"]) or (0, 0)
    rate = actual.mean()
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(rate * (1 - rate) / 4000), rel=0.1)
    # Every user doubled is no new knowledge: the interval must not shrink.
    twice = np.concatenate([users, users])
    again = over_users(
        lambda w: m.churn_metrics(np.tile(actual, 2), np.tile(predicted, 2), w), twice, 2000, seed=0
    )
    low2, high2 = interval(again["base_rate"]) or (0, 0)
    assert high2 - low2 == pytest.approx(high - low, rel=1e-9)


def test_intervals_are_repeatable_and_no_draw_gives_none() -> None:
    actual, predicted = _sample(5)
    users = np.arange(500).astype(str)

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        return m.churn_metrics(actual, predicted, weights)

    first, second = (over_users(measure, users, 20, seed=3) for _ in range(2))
    assert (first["roc_auc"] == second["roc_auc"]).all()
    assert over_users(measure, users, 0, seed=3) == {}
    assert interval(np.array([np.nan])) is None


def test_two_hundred_draws_of_thirty_thousand_rows_are_quick() -> None:
    random = np.random.default_rng(0)
    predicted = random.random(30_000)
    actual = (random.random(30_000) < predicted).astype(float)
    users = np.arange(30_000).astype(str)
    start = time.process_time()
    over_users(lambda w: m.churn_metrics(actual, predicted, w), users, 200, seed=0)
    over_users(lambda w: m.value_metrics(actual * predicted, predicted, w), users, 200, seed=0)
    print(time.process_time() - start)
    assert time.process_time() - start < 20  # about 3 s undisturbed
