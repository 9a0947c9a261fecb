"""Metrics of churn and of value, with weights, so that one code serves points and intervals.

Every function takes `actual` and `predicted` of shape (n,) and `weights` of shape (n,) or
(draws, n), and returns shape () or (draws,). A weight of w counts a row w times. Rows of equal
predictions share a place: a metric that depends on their order takes its mean over all orders.
Undefined values (no churner, no value, a draw of nobody) are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TOP_SHARES = {"1pct": 0.01, "5pct": 0.05, "10pct": 0.10}
TINY = 1e-15


@dataclass(frozen=True)
class Ranked:
    """Rows by falling prediction, ties as one group. Each of shape (..., groups)."""

    mass: Floats  # sum of weights
    gain: Floats  # sum of weights times actual


def ranked(actual: Floats, predicted: Floats, weights: Floats) -> Ranked:
    order = np.argsort(-predicted, kind="stable")
    ordered = predicted[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    mass = weights[..., order]
    gain = mass * actual[order]
    if len(starts) < len(ordered):
        mass, gain = (np.add.reduceat(each, starts, axis=-1) for each in (mass, gain))
    return Ranked(mass, gain)


def _divide(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def roc_auc(rows: Ranked) -> Floats:
    """Probability that a churner ranks above another, ties half. Hanley & McNeil 1982."""
    positive, negative = rows.gain, rows.mass - rows.gain
    total = negative.sum(-1, keepdims=True)
    below = total - np.cumsum(negative, -1) + negative / 2
    return _divide((positive * below).sum(-1), positive.sum(-1) * total[..., 0])


def average_precision(rows: Ranked) -> Floats:
    """Sum over thresholds of precision times the step in recall. Zhu 2004."""
    precision = _divide(np.cumsum(rows.gain, -1), np.cumsum(rows.mass, -1))
    caught = np.where(rows.gain > 0, rows.gain * precision, 0.0).sum(-1)
    return _divide(caught, rows.gain.sum(-1))


def gain_at(rows: Ranked, share: float) -> Floats:
    """Share of all churners in the top `share` of rows, a tie group cut in proportion."""
    mass, gain = np.cumsum(rows.mass, -1), np.cumsum(rows.gain, -1)
    wanted = share * mass[..., -1:]
    last = np.minimum((mass < wanted).sum(-1, keepdims=True), mass.shape[-1] - 1)
    before = np.take_along_axis(mass - rows.mass, last, -1)
    part = _divide(wanted - before, np.take_along_axis(rows.mass, last, -1))
    caught = np.take_along_axis(gain - rows.gain, last, -1) + part * np.take_along_axis(
        rows.gain, last, -1
    )
    return _divide(caught[..., 0], gain[..., -1])


def gini(rows: Ranked) -> Floats:
    """Twice the area between the diagonal and the cumulative share of value by rank."""
    mass = _divide(rows.mass, rows.mass.sum(-1, keepdims=True))
    caught = np.cumsum(rows.gain, -1)
    height = (caught - rows.gain / 2) * mass
    return 2 * _divide(height.sum(-1), caught[..., -1]) - 1


def normalized_gini(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Gini of the predicted ranking over that of the perfect one. Wang, Liu & Miao 2019, 4.2."""
    best = gini(ranked(actual, actual, weights))
    return _divide(gini(ranked(actual, predicted, weights)), best)


def _mean(each: Floats, weights: Floats) -> Floats:
    return _divide(weights @ each, weights.sum(-1))


def log_loss(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean of -log p(actual), in nats; probabilities are held 1e-15 away from 0 and 1."""
    sure = np.clip(predicted, TINY, 1 - TINY)
    return _mean(-(actual * np.log(sure) + (1 - actual) * np.log1p(-sure)), weights)


def brier(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean squared difference of probability and outcome. Brier 1950, halved for two classes."""
    return _mean((predicted - actual) ** 2, weights)


def calibration_error(actual: Floats, predicted: Floats, weights: Floats, bins: int = 10) -> Floats:
    """ECE over bins of equal mass: mean of |mean prediction - observed rate|, weighted by mass.

    Naeini et al. 2015, with equal-mass bins as in Nguyen & O'Connor 2015; rows of equal
    predictions go to one bin, that of the middle of their mass.
    """
    weights2 = np.atleast_2d(weights)
    rows = ranked(actual, predicted, weights2)
    forecast = ranked(predicted, predicted, weights2).gain
    apart = _by_bin(rows.mass, forecast - rows.gain, bins)
    error = _divide(np.abs(apart).sum(-1), rows.mass.sum(-1))
    return error if weights.ndim > 1 else np.asarray(error[0])


def calibration_error_by_chance(predicted: Floats, bins: int = 10) -> float:
    """The ECE to expect where every probability is right: of few rows the observed rates differ
    from them by chance alone. NaN for no rows.

    Outcomes of a bin sum up to a normal variable of variance sum(p * (1 - p)), whose mean
    distance from its mean is sqrt(2 / pi) of its deviation.
    """
    ones = np.ones((1, len(predicted)))
    spread = ranked(predicted * (1 - predicted), predicted, ones)
    deviation = np.sqrt(_by_bin(spread.mass, spread.gain, bins)).sum(-1)
    return float(_divide(np.sqrt(2 / np.pi) * deviation, spread.mass.sum(-1))[0])


def _by_bin(mass: Floats, each: Floats, bins: int) -> Floats:
    """Sums of what groups in rank order have, over bins of equal mass. Shape (draws, bins)."""
    middle = np.cumsum(mass, -1) - mass / 2
    share = np.nan_to_num(_divide(middle, mass.sum(-1, keepdims=True)))  # nobody: any bin will do
    bin_of = np.clip((share * bins).astype(np.int64), 0, bins - 1)
    flat = (bin_of + bins * np.arange(len(mass))[:, None]).ravel()
    sums = np.bincount(flat, each.ravel(), bins * len(mass)).astype(np.float64)
    return sums.reshape(-1, bins)


def spearman(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Correlation of mid-ranks, ties at their mean rank. Spearman 1904."""
    first, second = _midranks(actual, weights), _midranks(predicted, weights)
    total = weights.sum(-1, keepdims=True)
    first = first - _divide((weights * first).sum(-1, keepdims=True), total)
    second = second - _divide((weights * second).sum(-1, keepdims=True), total)
    spread = (weights * first**2).sum(-1) * (weights * second**2).sum(-1)
    return _divide((weights * first * second).sum(-1), np.sqrt(spread))


def _midranks(values: Floats, weights: Floats) -> Floats:
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    mass = np.add.reduceat(weights[..., order], starts, axis=-1)
    return np.asarray((np.cumsum(mass, -1) - mass / 2)[..., place])


def churn_metrics(actual: Floats, predicted: Floats, weights: Floats) -> dict[str, Floats]:
    """All metrics of calibrated churn probabilities by name."""
    rows = ranked(actual, predicted, weights)
    gains = {name: gain_at(rows, share) for name, share in TOP_SHARES.items()}
    return {
        "roc_auc": roc_auc(rows),
        "average_precision": average_precision(rows),
        "log_loss": log_loss(actual, predicted, weights),
        "brier": brier(actual, predicted, weights),
        "ece": calibration_error(actual, predicted, weights),
        **{f"gain_at_{name}": gain for name, gain in gains.items()},
        **{f"lift_at_{name}": gain / TOP_SHARES[name] for name, gain in gains.items()},
        "base_rate": _mean(actual, weights),
    }


def value_metrics(actual: Floats, predicted: Floats, weights: Floats) -> dict[str, Floats]:
    """All metrics of expected value, in the currency of the log where they have a unit."""
    mae = _mean(np.abs(predicted - actual), weights)
    mean = _mean(actual, weights)
    return {
        "mae": mae,
        "nmae": _divide(mae, mean),
        "normalized_gini": normalized_gini(actual, predicted, weights),
        "spearman": spearman(actual, predicted, weights),
        "bias": _divide(_mean(predicted, weights), mean) - 1,
        "mean": mean,
    }
