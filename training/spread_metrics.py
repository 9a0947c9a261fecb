"""How good distributions of value are, with weights as in `metrics`.

Every function takes `actual` and what is predicted of shape (n,) and `weights` of shape (n,) or
(draws, n), and returns shape () or (draws,).
"""

from __future__ import annotations

import numpy as np

from training.metrics import Floats
from training.spread import NEEDED, Spread, interval

COVERED = (0.5, 0.9)


def mean_of(each: Floats, weights: Floats) -> Floats:
    total = weights.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, weights @ each / total, np.nan)


def pinball(actual: Floats, predicted: Floats, level: float, weights: Floats) -> Floats:
    """Mean loss of a quantile, in money. Koenker & Bassett 1978: at level .5 half the MAE."""
    return mean_of(_pinball(actual, predicted, level), weights)


def _pinball(actual: Floats, predicted: Floats, level: float) -> Floats:
    short = actual - predicted
    return np.asarray(np.maximum(level * short, (level - 1) * short))


def crps(actual: Floats, spread: Spread, weights: Floats) -> Floats:
    """Continuous ranked probability score, in money: twice the pinball loss integrated over
    levels (Gneiting & Ranjan 2011, eq. 13), each level standing for those nearer to it than to
    another."""
    levels = np.array(spread.levels)
    edges = np.r_[0.0, (levels[1:] + levels[:-1]) / 2, 1.0]
    each = np.zeros(len(actual))
    for k, share in enumerate(np.diff(edges)):
        each += 2 * share * _pinball(actual, spread.quantiles[:, k], float(levels[k]))
    return mean_of(each, weights)


def coverage(actual: Floats, low: Floats, high: Floats, weights: Floats) -> Floats:
    """Share of rows within their interval, both ends included."""
    return mean_of(((low <= actual) & (actual <= high)).astype(np.float64), weights)


def width(low: Floats, high: Floats, weights: Floats) -> Floats:
    """Mean width of the intervals, in money."""
    return mean_of(high - low, weights)


def spread_metrics(actual: Floats, spread: Spread, weights: Floats) -> dict[str, Floats]:
    """All metrics of a distribution of value by name; money where they have a unit.

    `mae_median` is of the median, `bias` of the mean; `coverage_*` of the intervals of `interval`.
    """
    mean = mean_of(actual, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.where(mean != 0, mean_of(spread.mean, weights) / mean, np.nan) - 1
    found = {"crps": crps(actual, spread, weights), "bias": bias}
    found["mae_median"] = 2 * pinball(actual, spread.median, 0.5, weights)
    for level in NEEDED:
        found[f"pinball_{100 * level:02.0f}"] = pinball(actual, spread.at(level), level, weights)
    for share in COVERED:
        low, high = interval(spread, share)
        found[f"coverage_{100 * share:.0f}"] = coverage(actual, low, high, weights)
        found[f"width_{100 * share:.0f}"] = width(low, high, weights)
    return found
