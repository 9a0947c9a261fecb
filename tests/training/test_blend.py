"""Several estimators as one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from training.blend import Blend, Target, average, fit_weights, joined
from training.linear import Linear
from training.model import _load
from training.validation import churn_losses, value_losses


def _linear(*weights: float) -> Linear:
    from training.kinds import spec_of
    from training.linear import fit_churn
    from training.rows import Rows

    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, len(weights))).astype(np.float32)
    churn = (draw.random(400) < 1 / (1 + np.exp(-x @ np.array(weights)))).astype(np.float64)
    names = tuple(f"f{k}" for k in range(len(weights)))
    users = np.array([f"u{k}" for k in range(400)])
    rows = Rows(names, x, churn, None, draw.integers(0, 5, 400), users, np.zeros(400))
    return fit_churn(spec_of("logistic", 0), rows)[0]


def test_log_odds_and_what_moves_them_add_up(tmp_path: Path) -> None:
    first, second = _linear(1.0, -1.0), _linear(0.2, 2.0)
    blend = Blend("churn", ("a", "b"), (first, second), (0.25, 0.5))
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    assert blend.margin(x) == pytest.approx(0.25 * first.margin(x) + 0.5 * second.margin(x))
    parts = 0.25 * first.contributions(x) + 0.5 * second.contributions(x)
    assert blend.contributions(x) == pytest.approx(parts)
    assert blend.contributions(x).sum(1) - blend.margin(x) == pytest.approx(
        (parts.sum(1) - blend.margin(x))[0], abs=1e-6
    )
    blend.save(tmp_path / "churn.blend.json")
    again = _load(tmp_path, "churn")
    assert isinstance(again, Blend)
    assert np.array_equal(again.margin(x), blend.margin(x))
    assert str(again) == "0.25 a + 0.50 b"


def test_a_blend_of_blends_is_read_back(tmp_path: Path) -> None:
    inner = Blend("value", ("a", "b"), (_linear(1.0), _linear(-1.0)), (0.5, 0.5))
    outer = Blend("value", ("c", "d"), (inner, _linear(2.0)), (0.9, 0.1))
    outer.save(tmp_path / "value.blend.json")
    x = np.linspace(-2, 2, 7, dtype=np.float32)[:, None]
    found = Blend.load(tmp_path / "value.blend.json", partial(_load, tmp_path))
    assert np.array_equal(found.margin(x), outer.margin(x))


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=5), st.floats(0.01, 3))
def test_expected_values_add_up(logs: list[float], weight: float) -> None:
    margins = [np.array([log]) for log in logs]
    found = np.exp(joined("value", margins, [weight] * len(logs)))
    assert found[0] == pytest.approx(weight * np.exp(logs).sum())


def test_the_plain_average_is_one_of_equals() -> None:
    assert sum(average(3)) == pytest.approx(1)
    held = [np.array([1.0, -2.0])] * 3
    assert joined("churn", held, average(3)) == pytest.approx(held[0])
    assert joined("value", held, average(3)) == pytest.approx(held[0])


def test_the_one_that_knows_gets_the_weight() -> None:
    draw = np.random.default_rng(2)
    truth, noise = draw.normal(size=5000) * 1.5, draw.normal(size=5000)
    churn = (draw.random(5000) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    right, wrong = fit_weights("churn", [truth, noise], churn)
    assert right == pytest.approx(1, abs=0.1)
    assert wrong == pytest.approx(0, abs=0.05)
    value = np.exp(truth) * draw.gamma(2.0, 0.5, 5000)
    right, wrong = fit_weights("value", [truth, noise], value)
    assert wrong / right < 0.1


def test_two_that_know_a_half_each_are_stacked_as_a_regression_would() -> None:
    draw = np.random.default_rng(4)
    halves = draw.normal(size=(2, 20_000))
    churn = (draw.random(20_000) < 1 / (1 + np.exp(-halves.sum(0) + 0.7))).astype(np.float64)

    def loss(at: np.ndarray) -> float:
        z = at[:2] @ halves + at[2]
        return float((np.logaddexp(0, z) - churn * z).mean())

    plain = minimize(loss, np.zeros(3)).x[:2]
    assert fit_weights("churn", list(halves), churn) == pytest.approx(plain, abs=2e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("of", ["churn", "value"])
def test_no_row_is_the_average_without_a_warning(of: Target) -> None:
    """Of a slice whose users all lie in one fold there is nothing to learn weights on."""
    assert fit_weights(of, [np.empty(0)] * 3, np.empty(0)) == average(3)


def test_few_rows_stay_near_the_average() -> None:
    margins = [np.array([3.0, -3.0, 2.0]), np.array([-3.0, 3.0, -2.0])]
    found = fit_weights("churn", margins, np.array([1.0, 0.0, 1.0]))
    assert all(0 <= weight < 2.5 for weight in found)


@pytest.mark.parametrize("of", ["churn", "value"])
def test_weights_are_where_the_loss_is_least(of: Target) -> None:
    """Among 500 others; the prior counts for nothing at so many rows."""
    draw = np.random.default_rng(5)
    signal, noise = draw.normal(size=(2, 30_000))
    margins = [signal + 0.3 * noise, 0.7 * signal - 0.5 * noise]
    if of == "churn":
        target = (draw.random(30_000) < 1 / (1 + np.exp(-signal))).astype(np.float64)
    else:
        target = np.exp(signal) * draw.gamma(0.5, 2.0, 30_000)

    def loss(weights: tuple[float, ...]) -> float:
        blended = joined(of, margins, weights)
        fold = np.zeros(len(target), np.int64)
        fold[::2] = 1
        if of == "churn":
            return float(churn_losses(blended, target, fold).mean())
        return float(value_losses(np.exp(blended), target, fold).mean())

    best = loss(fit_weights(of, margins, target))
    for share in np.linspace(0, 1, 21):
        assert best <= loss((share, 1 - share)) + 1e-5
