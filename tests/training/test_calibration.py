"""Calibration keeps ranks, stays inside (0, 1) and makes rates hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from training.calibration import ENOUGH, SHARES, Calibrator, fit_calibrator, sigmoid


def _sample(seed: int, n: int, sharper: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are `sharper` times too sure, and outcomes."""
    random = np.random.default_rng(seed)
    true = random.normal(-0.5, 1, n)
    churn = (random.random(n) < sigmoid(true)).astype(float)
    return sharper * true, churn


@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([3, 30, 300, 5000]),
    margins=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_it_rises_and_stays_strictly_inside(seed: int, n: int, margins: list[float]) -> None:
    calibrator = fit_calibrator(*_sample(seed, n))
    if calibrator is None:
        return
    p = calibrator(np.sort(np.array(margins)))
    assert (np.diff(p) >= 0).all()
    assert (p > 0).all()
    assert (p < 1).all()


@pytest.mark.parametrize("n", [400, 20_000])
def test_it_mends_a_model_that_is_too_sure(n: int) -> None:
    margin, churn = _sample(1, n)
    calibrator = fit_calibrator(margin, churn)
    assert calibrator is not None
    later, outcome = _sample(2, 50_000)
    p = calibrator(later)
    assert p.mean() == pytest.approx(outcome.mean(), abs=0.05 if n < 1000 else 0.01)
    for low, high in ((0.1, 0.3), (0.5, 0.7)):
        inside = (p > low) & (p < high)
        assert p[inside].mean() == pytest.approx(outcome[inside].mean(), abs=0.08)


def test_the_kind_follows_the_rarer_class() -> None:
    margin, churn = _sample(3, 40 * ENOUGH)
    many = fit_calibrator(margin, churn)
    few = fit_calibrator(margin[:500], churn[:500])
    assert many is not None
    assert few is not None
    assert (many.kind, few.kind, Calibrator().kind) == ("isotonic", "platt", "none")
    extremes = many(np.array([-40.0, -30, -20, 20, 30]))
    assert (np.diff(extremes[:3]) >= 0).all()
    assert (np.diff(many(np.linspace(-6, 4, 200))) > 0).all()


def test_platt_equals_an_unpenalised_logistic_regression_on_much_data() -> None:
    margin, churn = _sample(4, 3000)
    found = fit_calibrator(margin, churn)
    assert found is not None
    oracle = LogisticRegression(C=1e12).fit(margin[:, None], churn)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], rel=0.01)
    assert found.intercept == pytest.approx(oracle.intercept_[0], abs=0.01)


def test_a_model_that_ranks_backwards_is_not_turned_round() -> None:
    margin, churn = _sample(5, 500)
    found = fit_calibrator(-margin, churn)
    assert found is not None
    assert found.slope > 0
    assert found(np.zeros(1))[0] == pytest.approx(churn.mean(), abs=0.05)


def test_one_class_cannot_be_calibrated_on() -> None:
    assert fit_calibrator(np.zeros(5), np.ones(5)) is None


@pytest.mark.parametrize("n", [300, 20_000])
def test_it_survives_json(n: int) -> None:
    found = fit_calibrator(*_sample(6, n))
    assert found is not None
    assert Calibrator.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_handful_of_rows_at_an_end_does_not_speak_for_all_beyond() -> None:
    """Three rows that all churn, above 4,000 of which half do: .8 by the steps, the line's word for
    it beside them, never 1; and the half stays."""
    margin = np.r_[np.linspace(-0.1, 0.1, 4000), [5.0, 5.0, 5.0]]
    churn = np.r_[np.tile([1.0, 0.0], 2000), np.ones(3)]
    found = fit_calibrator(margin, churn)
    assert found is not None
    assert found.kind == "isotonic"
    top, middle = found(np.array([9.0, 0.0]))
    assert found.knots[-1][1] == pytest.approx((3 + 2 * 0.5) / (3 + 2), abs=0.01)
    assert top < 0.99
    assert middle == pytest.approx(0.5, abs=0.06)


def test_the_share_of_the_line_is_what_serves_other_rows() -> None:
    """Where log-odds are a line the line counts for more, where they are steps it hardly does."""
    random = np.random.default_rng(5)
    found = {}
    for name in ("line", "steps"):
        margins = random.normal(0, 1.5, 60_000)
        true = sigmoid(0.8 * margins - 0.3) if name == "line" else 0.15 + 0.7 * (margins > 0.7)
        churn = (random.random(len(margins)) < true).astype(float)
        one = fit_calibrator(margins[:8000], churn[:8000])
        assert one is not None
        found[name] = one.smooth
        if name == "line":
            alone = replace(one, smooth=SHARES[0])(margins[8000:])
            off = [np.mean((p - true[8000:]) ** 2) for p in (alone, one(margins[8000:]))]
            assert off[1] < off[0] / 2
        assert Calibrator.from_dict(one.to_dict()) == one
    assert found["line"] >= 0.5
    assert found["steps"] == SHARES[0]


def test_the_order_of_rows_does_not_matter() -> None:
    margin, churn = _sample(7, 6000)
    margin = margin.round(1)  # ties
    mixed = np.random.default_rng(0).permutation(len(margin))
    one, two = fit_calibrator(margin, churn), fit_calibrator(margin[mixed], churn[mixed])
    assert one is not None
    assert one == two
