"""Isotonic distributional regression: P(value <= t) given a number, falling as the number rises.

Henzi, Ziegel & Gneiting 2021: for each threshold t the indicators of value <= t are regressed on
the number under the one constraint that they fall with it, by pooling adjacent violators. The
distributions that come out are the best possible under that order, whatever proper score they are
judged by, and nothing is to be tuned. Here on bins of the number, so that cost and size do not
grow with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.metrics import Floats

MOST_BINS = 500
LEAST_ROWS = 30.0  # of a bin: fewer at an end of the range would pass for a distribution
MOST_STEPS = 200  # thresholds at evenly spaced quantiles of the values on one side of 0
MOST_TOP = 100  # the largest values, each a threshold: quantiles far out need them
NEAR = 1e-9  # of a probability

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ordered:
    """`number`: (bins,), rising; `thresholds`: (t,), rising; `cdf`: (bins, t), rising along a row
    to 1 and falling down a column."""

    number: Floats
    thresholds: Floats
    cdf: Floats

    def quantiles(self, levels: Floats) -> Floats:
        """Of each bin the least threshold that holds a level or more, shape (bins, levels)."""
        wanted = np.clip(levels, 0.0, 1.0) - NEAR
        below = np.column_stack([(self.cdf < level).sum(1) for level in wanted])
        return np.asarray(self.thresholds[np.minimum(below, len(self.thresholds) - 1)])

    def ranks(self, number: Floats, value: Floats) -> tuple[Floats, Floats]:
        """P(below) and P(at most) the threshold that each value counts to, the least that is not
        below it. Shape (n,); of the bin whose number is nearest."""
        bins = np.searchsorted((self.number[1:] + self.number[:-1]) / 2, number)
        at = np.searchsorted(self.thresholds, value)
        cdf = np.column_stack([np.zeros(len(self.cdf)), self.cdf, np.ones(len(self.cdf))])
        return np.asarray(cdf[bins, at]), np.asarray(cdf[bins, at + 1])


def fit_ordered(
    number: Floats, value: Floats, weight: Floats, least_rows: float = LEAST_ROWS
) -> Ordered:
    """From rows of shape (n,), n > 0, of finite numbers, values and weights above 0, in any order.

    `least_rows`: the least weight of a bin.
    """
    from scipy.optimize import isotonic_regression

    order = np.lexsort((weight, value, number))  # every sum below is then of one order
    number, value, weight = number[order], value[order], weight[order]
    starts = _bins(number, weight, least_rows)
    mass = np.add.reduceat(weight, starts)
    thresholds = thresholds_of(value)
    share = np.cumsum(_sums(starts, thresholds, value, weight), 1) / mass[:, None]
    fitted = [isotonic_regression(each, weights=mass, increasing=False).x for each in share.T]
    cdf = np.maximum.accumulate(np.clip(np.column_stack(fitted), 0.0, 1.0), 1)
    cdf[:, -1] = 1.0
    return Ordered(np.add.reduceat(number * weight, starts) / mass, thresholds, cdf)


def _bins(number: Floats, weight: Floats, least_rows: float) -> Places:
    """Where bins of about equal weight start, at most MOST_BINS; equal numbers share one."""
    first = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    before = np.cumsum(weight) - weight
    total = float(weight.sum())
    bins = np.clip((total + NEAR) // least_rows, 1, MOST_BINS)
    chosen = np.unique((before[first] / total * bins + NEAR).astype(np.int64), return_index=True)
    return np.asarray(first[chosen[1]])


def _sums(starts: Places, thresholds: Floats, value: Floats, weight: Floats) -> Floats:
    """Weight of each bin's rows by the least threshold not below them: (bins, thresholds)."""
    shape = len(starts), len(thresholds)
    bins = np.searchsorted(starts, np.arange(len(value)), side="right") - 1
    cell = bins * shape[1] + np.searchsorted(thresholds, value)
    return np.asarray(np.bincount(cell, weight, shape[0] * shape[1]).reshape(shape))


def thresholds_of(value: Floats) -> Floats:
    """All distinct values where they are few, else 0 and quantiles on both sides of it. Rising."""
    distinct = np.unique(value)
    if len(distinct) <= MOST_STEPS + MOST_TOP:
        return distinct
    sides = [_quantiles(side) for side in (value[value > 0], -value[value < 0]) if len(side)]
    above = sides[0] if (value > 0).any() else np.empty(0)
    below = -sides[-1] if (value < 0).any() else np.empty(0)
    zero = np.zeros(int((value == 0).any()))
    return np.unique(np.concatenate([below, zero, above]))


def _quantiles(amount: Floats) -> Floats:
    steps = np.linspace(0.0, 1.0, MOST_STEPS)
    even = np.quantile(amount, steps, method="inverted_cdf")
    return np.concatenate([even, np.unique(amount)[-MOST_TOP:]])
