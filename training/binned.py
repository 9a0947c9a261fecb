"""Scores of one cutoff in few weighted places: enough to fit lines and levels on, whatever the
number of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.calibration import FAR, LEAST_SLOPE, sigmoid
from training.metrics import Floats

MOST_PLACES = 1000
NEWTON_STEPS = 60
CLOSE = 1e-9
PRIOR_ROWS = 1.0  # rows at the mean rate beside a slice: keeps a level finite in one-class slices


@dataclass(frozen=True)
class Binned:
    """Log-odds `margin` with `mass` rows at each place, `churn` of them churned. Shape (k,)."""

    margin: Floats
    mass: Floats
    churn: Floats

    @property
    def rows(self) -> float:
        return float(self.mass.sum())

    @property
    def rate(self) -> float:
        return float(self.churn.sum() / self.mass.sum())


def binned(margin: Floats, churn: Floats, weights: Floats | None = None) -> Binned:
    """Neighbours in order of the log-odds share a place, at most 1000 places of equal numbers.

    `churn`: 0, 1 or NaN (not known: the row is left out); all of shape (n,).
    """
    known = np.isfinite(churn)
    weight = np.ones(len(margin)) if weights is None else weights
    margin, churn, weight = margin[known], churn[known], weight[known]
    order = np.lexsort((churn, margin))
    places = min(MOST_PLACES, len(order))
    starts = np.unique(np.arange(places) * len(order) // max(places, 1))
    if not len(starts):
        return Binned(np.empty(0), np.empty(0), np.empty(0))
    mass = np.add.reduceat(weight[order], starts)
    at = np.add.reduceat((weight * margin)[order], starts) / mass
    return Binned(at, mass, np.add.reduceat((weight * churn)[order], starts))


@dataclass(frozen=True)
class Lines:
    """log-odds = slope * margin + level[j] of slice j; `error`: standard error of each level.

    `slope_error` is the slope's; `middle` the mean margin about which the errors of slope and
    levels are taken, so that they are nearly independent.
    """

    slope: float
    level: Floats  # (slices,)
    error: Floats  # (slices,)
    slope_error: float
    middle: float


def fit_lines(slices: list[Binned], rate: float | None = None) -> Lines:
    """One slope for all slices, a level for each: maximum likelihood by Newton's method.

    Each slice is given PRIOR_ROWS rows more, at its mean margin and the rate of all (or `rate`):
    a slice of one class has a finite level. The slope is held at LEAST_SLOPE or above, so that
    ranks are kept. Hessian of arrow shape, solved by its Schur complement.
    """
    data = [_with_prior(one, slices, rate) for one in slices]
    middle = float(np.average([_centre(b) for b in data], weights=[b.rows for b in data]))
    slope = 1.0
    level = np.array([_start(b) for b in data])
    for _ in range(NEWTON_STEPS):
        step, steps, _, _ = _newton(data, slope, level, middle)
        biggest = max(abs(step), float(np.abs(steps).max()))
        damp = min(1.0, 2.0 / max(biggest, CLOSE))
        free = slope - damp * step > LEAST_SLOPE
        slope = slope - damp * step if free else LEAST_SLOPE
        level = level - damp * steps if free else _levels_at(data, slope, middle)
        if damp * biggest < CLOSE or not free:
            break
    _, _, slope_information, information = _newton(data, slope, level, middle)
    return Lines(
        slope=slope,
        level=level - slope * middle,
        error=1 / np.sqrt(information),
        slope_error=float(1 / np.sqrt(max(slope_information, CLOSE))),
        middle=middle,
    )


def fit_level(one: Binned, slope: float, rate: float) -> float:
    """The level alone, at a given slope; one row more at `rate` keeps it finite."""
    return float(_levels_at([_with_prior(one, [one], rate)], slope, 0.0)[0])


def rows_at(one: Binned, slope: float, level: float) -> Floats:
    """Probabilities at the places, shape (k,), strictly inside (0, 1)."""
    return sigmoid(np.clip(slope * one.margin + level, -FAR, FAR))


def _centre(one: Binned) -> float:
    return float(np.average(one.margin, weights=one.mass))


def _with_prior(one: Binned, slices: list[Binned], rate: float | None) -> Binned:
    if rate is None:
        rows = sum(b.rows for b in slices)
        rate = (sum(float(b.churn.sum()) for b in slices) + 0.5) / (rows + 1.0)
    return Binned(
        np.append(one.margin, _centre(one)),
        np.append(one.mass, PRIOR_ROWS),
        np.append(one.churn, PRIOR_ROWS * rate),
    )


def _start(one: Binned) -> float:
    return float(np.log(one.rate / (1 - one.rate)))


def _newton(
    data: list[Binned], slope: float, level: Floats, middle: float
) -> tuple[float, Floats, float, Floats]:
    """Steps of the slope and of each level, and the information about them."""
    g0, h00 = 0.0, CLOSE
    g, h0, h = np.zeros(len(data)), np.zeros(len(data)), np.zeros(len(data))
    for j, one in enumerate(data):
        x = one.margin - middle
        p = sigmoid(np.clip(slope * x + level[j], -FAR, FAR))
        off, bend = one.mass * p - one.churn, one.mass * p * (1 - p) + CLOSE
        g0, h00 = g0 + float(off @ x), h00 + float(bend @ x**2)
        g[j], h0[j], h[j] = off.sum(), bend @ x, bend.sum()
    left = max(h00 - float((h0**2 / h).sum()), CLOSE)
    step = (g0 - float((h0 * g / h).sum())) / left
    return step, (g - h0 * step) / h, left, h


def _levels_at(data: list[Binned], slope: float, middle: float) -> Floats:
    """Each level by bisection: the predicted churners rise with it."""
    found = np.empty(len(data))
    for j, one in enumerate(data):
        z = slope * (one.margin - middle)
        reach = float(np.abs(z).max()) + FAR
        low, high = -reach, reach
        for _ in range(NEWTON_STEPS + 20):
            half = (low + high) / 2
            many = float(one.mass @ sigmoid(np.clip(z + half, -FAR, FAR))) > one.churn.sum()
            low, high = (low, half) if many else (half, high)
        found[j] = (low + high) / 2
    return found
