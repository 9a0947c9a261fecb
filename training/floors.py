"""Floors to beat: the base rate, and recency alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training import linear
from training.calibration import sigmoid
from training.linear import LogisticSpec
from training.metrics import Floats
from training.rows import Rows

RECENCY = "recency_days"
NEARLY_NONE = LogisticSpec(churn_strength=1e-6, value_strength=1e-6)


def base_churn(fit: Rows, test: Rows) -> Floats:
    """The fit's churn rate for everyone, shape (n_test,)."""
    return np.full(len(test), fit.churn.mean())


def base_value(fit: Rows, test: Rows) -> Floats | None:
    """The fit's mean value for everyone, shape (n_test,)."""
    return None if fit.value is None else np.full(len(test), fit.value.mean())


def recency_churn(fit: Rows, test: Rows) -> Floats | None:
    """Logistic regression on log(1 + recency); None where the features have no recency, the base
    rate where all of the fit's rows churn or none does."""
    if (pair := _recency_only(fit, test)) is None:
        return None
    if fit.churn.min() == fit.churn.max():
        return base_churn(fit, test)
    model, _ = linear.fit_churn(NEARLY_NONE, pair[0])
    return sigmoid(model.margin(pair[1].x))


def recency_value(fit: Rows, test: Rows) -> Floats | None:
    """Tweedie regression on log(1 + recency), in money."""
    pair = _recency_only(fit, test)
    if pair is None or fit.value is None:
        return None
    spent = np.maximum(fit.value, 0.0)
    if spent.min() == spent.max():
        return base_value(fit, test)
    model, _ = linear.fit_value(NEARLY_NONE, pair[0], spent / spent.mean())
    scale = max(fit.value.sum(), 0.0) / np.exp(model.margin(pair[0].x)).sum()
    return np.asarray(scale * np.exp(model.margin(pair[1].x)))


def _recency_only(fit: Rows, test: Rows) -> tuple[Rows, Rows] | None:
    if RECENCY not in fit.features:
        return None
    at = fit.features.index(RECENCY)
    only = [replace(r, features=(RECENCY,), x=r.x[:, [at]]) for r in (fit, test)]
    return only[0], only[1]
