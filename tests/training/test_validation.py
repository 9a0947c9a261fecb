"""The loss that models are chosen by."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_tweedie_deviance

from training.validation import churn_losses, tweedie, value_losses


def _rows(n: int = 4000) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(3)
    margin = draw.normal(size=n)
    churn = (draw.random(n) < 1 / (1 + np.exp(-margin))).astype(np.float64)
    return margin, churn, draw.integers(0, 5, n)


def test_a_right_level_and_slope_lose_nothing_by_the_calibration() -> None:
    margin, churn, fold = _rows()
    plain = log_loss(churn, 1 / (1 + np.exp(-margin)))
    assert churn_losses(margin, churn, fold).mean() == pytest.approx(plain, abs=2e-3)


def test_level_and_slope_decide_nothing() -> None:
    margin, churn, fold = _rows()
    straight = churn_losses(margin, churn, fold)
    assert churn_losses(3 * margin - 2, churn, fold) == pytest.approx(straight, abs=1e-4)


def test_a_row_is_measured_by_a_calibration_that_has_not_seen_it() -> None:
    margin, churn, fold = _rows(200)
    other = churn.copy()
    other[fold == 0] = 1 - churn[fold == 0]
    mine = fold == 0
    told = np.exp(-churn_losses(margin, churn, fold)) + np.exp(-churn_losses(margin, other, fold))
    assert told[mine] == pytest.approx(1.0)  # p and 1 - p, whatever the row's own label is


def test_one_class_is_taken_as_it_is() -> None:
    margin = np.array([0.0, 1.0])
    assert churn_losses(margin, np.zeros(2), np.array([0, 1])) == pytest.approx(
        np.logaddexp(0, margin)
    )


def test_values_scale_decides_nothing_and_the_loss_is_tweedies() -> None:
    draw = np.random.default_rng(1)
    mean, fold = draw.gamma(2.0, size=5000), draw.integers(0, 5, 5000)
    value = np.where(draw.random(5000) < 0.4, mean * draw.gamma(2.0, size=5000), 0.0)
    found = value_losses(mean, value, fold)
    assert value_losses(100 * mean, value, fold) == pytest.approx(found)
    assert value_losses(mean, 100 * value, fold) == pytest.approx(found)
    assert found.mean() < value_losses(np.ones(5000), value, fold).mean()
    some = tweedie(mean, value) - tweedie(np.ones(5000), value)
    theirs = [mean_tweedie_deviance(value, m, power=1.5) / 2 for m in (mean, np.ones(5000))]
    assert some.mean() == pytest.approx(theirs[0] - theirs[1])
