"""Calibration over several cutoffs, and what a churn probability's interval covers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.binned import binned
from training.calibration import sigmoid
from training.churn_interval import ASSUMED_DRIFT, ChurnInterval, churn_interval
from training.joint_calibration import fit_jointly, spread_between
from training.level_choice import Chosen
from training.metrics import Floats


def _slice(random: np.random.Generator, n: int, level: float, slope: float = 0.8) -> object:
    margin = random.normal(0, 1.5, n)
    churn = (random.random(n) < sigmoid(slope * margin + level)).astype(float)
    return binned(margin, churn)


def test_a_small_slice_is_drawn_to_the_others_and_a_large_one_is_not() -> None:
    random = np.random.default_rng(0)
    levels = (-0.4, 0.3, 0.0, 0.5, -0.2)
    found = fit_jointly([_slice(random, 20_000, a) for a in levels] + [_slice(random, 15, 0.1)])  # type: ignore[misc]
    assert found is not None
    assert (found.own[:5] > 0.97).all()
    assert found.own[5] < 0.5
    assert found.levels[:5] == pytest.approx(levels, abs=0.06)
    assert found.between == pytest.approx(np.var(levels), rel=0.6)
    assert found.calibrator(1).slope == pytest.approx(0.8, abs=0.03)


def test_pooling_comes_nearer_to_the_true_levels() -> None:
    apart, pooled = [], []
    for seed in range(30):
        random = np.random.default_rng(seed)
        true = random.normal(0, 0.15, 6)
        found = fit_jointly([_slice(random, 150, a) for a in true])  # type: ignore[misc]
        assert found is not None
        apart.append(np.mean((found.lines.level - true) ** 2))
        pooled.append(np.mean((found.levels - true) ** 2))
    assert np.mean(pooled) < 0.85 * np.mean(apart)


@given(seed=st.integers(0, 10**6), slices=st.integers(1, 5), n=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_it_keeps_ranks_whatever_the_slices(seed: int, slices: int, n: int) -> None:
    random = np.random.default_rng(seed)
    found = fit_jointly([_slice(random, n, 0.0, slope=-0.5) for _ in range(slices)])  # type: ignore[misc]
    if found is None:
        return
    p = found.calibrator()(np.linspace(-20, 20, 50))
    # A handful of rows may be told apart wholly: the slope is then steep, and ends are held.
    assert (np.diff(p) > 0).all() if found.lines.slope < 1 else (np.diff(p) >= 0).all()
    assert np.isfinite(found.errors).all()
    assert ((found.own >= 0) & (found.own <= 1)).all()


def test_one_class_alone_cannot_be_fitted() -> None:
    assert fit_jointly([binned(np.zeros(4), np.ones(4)), binned(np.ones(3), np.ones(3))]) is None


def test_the_spread_is_what_the_errors_do_not_explain() -> None:
    assert spread_between(np.array([0.1, -0.1, 0.0]), np.full(3, 0.5)) == 0.0
    wide = np.random.default_rng(1).normal(0, 0.5, 4000)
    assert spread_between(wide, np.full(4000, 0.3)) == pytest.approx(0.25 - 0.09, abs=0.02)


def _chosen(drift: float | None) -> Chosen:
    return Chosen("none", 0.0, {}, {}, drift, 0.0)


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_interval_covers_the_rate_of_users_of_a_score(drift: float) -> None:
    inside: list[Floats] = []
    at = np.linspace(-3, 3, 13)
    for seed in range(300):
        random = np.random.default_rng(seed)
        found = fit_jointly([_slice(random, 300, 0.2)])  # type: ignore[misc]
        assert found is not None
        true = sigmoid(0.8 * at + 0.2 + drift * random.normal())
        interval = churn_interval(found.lines, _chosen(drift))
        low, high = interval(at, found.calibrator()(at))
        inside.append((low <= true) & (true <= high))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_the_interval_says_where_the_drift_is_assumed() -> None:
    found = fit_jointly([_slice(np.random.default_rng(0), 300, 0.0)])  # type: ignore[misc]
    assert found is not None
    assumed, measured = (churn_interval(found.lines, _chosen(d)) for d in (None, 0.1))
    assert (assumed.drift, assumed.drift_measured) == (ASSUMED_DRIFT, False)
    assert measured.drift_measured
    assert ChurnInterval.from_dict(json.loads(json.dumps(measured.to_dict()))) == measured
    p = np.array([1e-13, 0.5, 1 - 1e-13])
    low, high = measured(np.array([-60.0, 0.0, 60.0]), p)
    assert ((low > 0) & (low < high) & (high <= 1)).all()
