"""How good a model is on rows it has never seen, beside the floors, with intervals over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training import floors
from training.bootstrap import Metrics, interval, over_users
from training.metrics import (
    Floats,
    calibration_error_by_chance,
    churn_metrics,
    value_metrics,
)
from training.model import Model
from training.rows import Rows
from training.spread import Spread
from training.spread import interval as spread_interval
from training.spread_metrics import coverage, crps

OVER = ("churn_roc_auc", "value_normalized_gini")


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: name to number, `_low` and `_high` 95 % intervals over users; only defined ones.

    The arrays are of the test rows, shape (n,).
    """

    metrics: dict[str, float]
    churn: Floats
    probability: Floats
    recency_probability: Floats | None
    value: Floats | None
    expected_value: Floats | None


def evaluate(model: Model, fit: Rows, test: Rows, draws: int, seed: int) -> Evaluation:
    """Metrics on `test`; the floors learn from `fit`, the rows that the model was fitted on."""
    probability = model.churn_probability(test.x)
    expected = model.expected_value(test.x) if test.value is not None else None
    spread = None if expected is None else model.value_spread(test.x, expected)
    recency = floors.recency_churn(fit, test)
    predictors = {"": (probability, expected)}
    if recency is not None:
        predictors["recency_"] = (recency, floors.recency_value(fit, test))

    def measure(weights: Floats) -> Metrics:
        found = _of_spread(test, spread, weights)
        for prefix, (churn, value) in predictors.items():
            found |= _measure(prefix, test, churn, value, weights)
        for name in OVER:
            if f"recency_{name}" in found and name in found:
                found[f"{name}_over_recency"] = found[name] - found[f"recency_{name}"]
        return found

    ones = np.ones(len(test))
    points = measure(ones)
    points["churn_ece_by_chance"] = np.asarray(calibration_error_by_chance(probability))
    base = _base(fit, test, ones)
    metrics = _flat(points, over_users(measure, test.users, draws, seed))
    metrics |= {name: float(value) for name, value in base.items() if np.isfinite(value)}
    metrics["test_rows"] = float(len(test))
    return Evaluation(metrics, test.churn, probability, recency, test.value, expected)


def _measure(
    prefix: str, test: Rows, churn: Floats, value: Floats | None, weights: Floats
) -> Metrics:
    found = churn_metrics(test.churn, churn, weights)
    named = {f"{prefix}churn_{name}": metric for name, metric in found.items()}
    if value is not None and test.value is not None:
        found = value_metrics(test.value, value, weights)
        named |= {f"{prefix}value_{name}": metric for name, metric in found.items()}
    # What does not depend on the predictor is said once.
    return {n: m for n, m in named.items() if not prefix or not n.endswith(("_base_rate", "_mean"))}


def _of_spread(test: Rows, spread: Spread | None, weights: Floats) -> Metrics:
    """How good the distribution of value is: its median, its intervals of 90 %, all of it."""
    if spread is None or test.value is None:
        return {}
    low, high = spread_interval(spread)
    return {
        "value_median_nmae": value_metrics(test.value, spread.median, weights)["nmae"],
        "value_coverage_90": coverage(test.value, low, high, weights),
        "value_crps": crps(test.value, spread, weights),
    }


def _base(fit: Rows, test: Rows, ones: Floats) -> Metrics:
    churn = churn_metrics(test.churn, floors.base_churn(fit, test), ones)
    named = {f"base_rate_churn_{name}": churn[name] for name in ("brier", "log_loss")}
    mean = floors.base_value(fit, test)
    if mean is not None and test.value is not None:
        value = value_metrics(test.value, mean, ones)
        named |= {f"base_mean_value_{name}": value[name] for name in ("mae", "nmae", "bias")}
    return named


def _flat(points: Metrics, draws: Metrics) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, point in points.items():
        if not np.isfinite(point):
            continue
        flat[name] = float(point)
        if name in draws and (between := interval(draws[name])):
            flat[f"{name}_low"], flat[f"{name}_high"] = between
    return flat
