"""How much more often one group churns than another: ratio, interval, and many comparisons."""

from __future__ import annotations

from math import erfc
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from retention.shares import CONFIDENCE

Floats = NDArray[np.float64]
_CHI2 = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) ** 2
_FURTHEST = 30.0  # natural logarithm of the largest ratio that is looked for
_HALVINGS = 80


def risk_ratio(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> tuple[Floats, Floats, Floats]:
    """(x1 / n1) / (x0 / n0) with its score interval at 95 %, of shape (n,) each.

    Koopman 1984, eq. 1; in the form of Miettinen and Nurminen 1985 without their n / (n - 1).
    It holds for small counts too, where the interval of the log ratio (Katz and others 1978) is
    too narrow or, with a count of 0, there is none. NaN for a ratio that is not known: nobody of
    the second group (or of neither); infinite where only the first group has any.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (x1 / n1) / (x0 / n0)
        centre = np.clip(np.log(ratio), -_FURTHEST, _FURTHEST)
    known = ~np.isnan(ratio)
    low, high = np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    groups = x1[known], n1[known], x0[known], n0[known]
    low[known] = np.where(groups[0] > 0, np.exp(_bound(groups, centre[known], -_FURTHEST)), 0.0)
    high[known] = np.where(groups[2] > 0, np.exp(_bound(groups, centre[known], _FURTHEST)), np.inf)
    return ratio, low, high


def _bound(
    groups: tuple[Floats, Floats, Floats, Floats], inside: Floats, furthest: float
) -> Floats:
    """Where the score statistic reaches its quantile, between the ratio and far away."""
    near, far = inside.copy(), np.full_like(inside, furthest)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        holds = score(*groups, np.exp(middle)) <= _CHI2
        near, far = np.where(holds, middle, near), np.where(holds, far, middle)
    return near


def score(x1: Floats, n1: Floats, x0: Floats, n0: Floats, ratio: Floats) -> Floats:
    """The statistic for a ratio that is supposed, chi squared with one degree of freedom. The
    share of the second group is the likeliest one given the ratio."""
    a, b, c = (n1 + n0) * ratio, ratio * (n1 + x0) + x1 + n0, x1 + x0
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    p0 = 2 * c / (b + root)  # the smaller root, said so that nothing cancels
    p1 = ratio * p0
    variance = np.maximum(p1 * (1 - p1), 0) / n1 + ratio**2 * np.maximum(p0 * (1 - p0), 0) / n0
    apart = (x1 / n1 - ratio * x0 / n0) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(apart == 0, 0.0, apart / variance)


def p_values(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> Floats:
    """Of the hypothesis that both churn alike, two-sided: Pearson's chi squared without
    correction, which is the score statistic at a ratio of 1. 1 where all do or none."""
    both = (x1 + x0) / (n1 + n0)
    mixed = (both > 0) & (both < 1)
    ones = np.ones_like(x1)
    chi2 = np.where(mixed, score(x1, n1, x0, n0, ones), 0.0)
    return np.array([erfc((value / 2) ** 0.5) for value in chi2.tolist()], np.float64)


def q_values(p: Floats) -> Floats:
    """The smallest false discovery rate at which each would be found. Benjamini and Hochberg
    1995, as adjusted p values; shape (n,)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p) if len(p) else p, np.float64)
