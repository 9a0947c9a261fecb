"""From a model's log-odds to probabilities that hold, learnt on a later slice than the fit.

Platt's two numbers where the rarer class has fewer than ENOUGH rows, else a mixture of them and of
isotonic steps joined by lines: the share of each is what serves rows left out best. Both rise with
the log-odds, so ranks are kept, and stay strictly inside (0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.metrics import Floats

ENOUGH = 1000
DRAWN = 2.0  # rows
LEAST_SLOPE = 0.01
SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)  # of Platt's line: none alone, ends must rise, steps count
FOLDS = 5
FAR = 30.0  # log-odds; keeps a probability of 64 bits strictly inside (0, 1)


@dataclass(frozen=True)
class Calibrator:
    """p = sigmoid(slope * m + intercept); with knots a share `smooth` of that, the rest the line
    through them.

    The mixture keeps what the knots' flat ends would lose: the order of the extremes. The log-odds
    of the result are multiplied by `stretch` (above 0) and raised by `shift`: how slope and level
    have moved since the calibration slice.
    """

    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    shift: float = 0.0
    stretch: float = 1.0
    smooth: float = SHARES[0]

    @property
    def kind(self) -> str:
        if self.knots:
            return "isotonic"
        return "none" if (self.slope, self.intercept) == (1.0, 0.0) else "platt"

    def __call__(self, margin: Floats) -> Floats:
        """Probabilities, shape (n,), of log-odds of shape (n,)."""
        if (self.shift, self.stretch) == (0.0, 1.0):
            return self._unshifted(margin)
        return sigmoid(self.log_odds(margin))

    def log_odds(self, margin: Floats) -> Floats:
        """Of the probabilities, shape (n,)."""
        p = self._unshifted(margin)
        odds = np.log(p) - np.log1p(-p)
        return np.asarray(np.clip(self.stretch * odds + self.shift, -FAR, FAR))

    def _unshifted(self, margin: Floats) -> Floats:
        smooth = sigmoid(np.clip(self.slope * margin + self.intercept, -FAR, FAR))
        if not self.knots:
            return smooth
        at, rate = np.array(self.knots).T
        steps = np.interp(margin, at, rate)
        return np.asarray(self.smooth * smooth + (1 - self.smooth) * steps)

    def moved(self, shift: float, stretch: float, middle: float) -> Calibrator:
        """Whose log-odds z are `middle + stretch * (z - middle) + shift`."""
        shift = stretch * self.shift + shift + (1 - stretch) * middle
        return replace(self, shift=shift, stretch=stretch * self.stretch)

    def of_line(self, scale: float, shift: float) -> Calibrator:
        """That says of log-odds m what this one says of `scale` m + `shift`; `scale` above 0."""
        knots = tuple(((at - shift) / scale, rate) for at, rate in self.knots)
        intercept = self.intercept + self.slope * shift
        return replace(self, slope=self.slope * scale, intercept=intercept, knots=knots)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "slope": self.slope,
            "intercept": self.intercept,
            "knots": [list(knot) for knot in self.knots],
            "shift": self.shift,
            "stretch": self.stretch,
            "smooth": self.smooth,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Calibrator:
        knots = tuple((m, p) for m, p in raw["knots"])
        shift, stretch = raw.get("shift", 0.0), raw.get("stretch", 1.0)
        smooth = raw.get("smooth", SHARES[0])
        return cls(raw["slope"], raw["intercept"], knots, shift, stretch, smooth)


def sigmoid(margin: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-margin)))


def fit_calibrator(margin: Floats, churn: Floats, *, smooth: bool = False) -> Calibrator | None:
    """Learns from log-odds and outcomes (0 or 1), shape (n,). None where one class is missing.

    `smooth`: without steps, for hazards that are multiplied: a step at the bottom where nobody's
    wait has ended would count in each.
    """
    rarer = int(min(churn.sum(), len(churn) - churn.sum()))
    if rarer == 0:
        return None
    if rarer < ENOUGH or smooth:
        return Calibrator(*_platt(margin, churn))
    order = np.lexsort((churn, margin))
    margin, churn = margin[order], churn[order]
    return _mixture(margin, churn, _share(margin, churn))


def _mixture(margin: Floats, churn: Floats, share: float) -> Calibrator:
    knots = _centred_isotonic(margin, churn)
    return Calibrator(*_platt(margin, churn), knots=knots, smooth=share)


def _share(margin: Floats, churn: Floats) -> float:
    """Of SHARES the one with the least log loss on folds left out; rows in order of log-odds."""
    losses = dict.fromkeys(SHARES, 0.0)
    fold = np.arange(len(margin)) % FOLDS
    for one in range(FOLDS):
        out = fold == one
        found = _mixture(margin[~out], churn[~out], SHARES[0])
        for share in SHARES:
            p = replace(found, smooth=share)(margin[out])
            losses[share] -= float(np.log(np.where(churn[out] > 0, p, 1 - p)).sum())
    return min(SHARES, key=lambda share: losses[share])


def _platt(margin: Floats, churn: Floats) -> tuple[float, float]:
    """Maximum likelihood on targets drawn in from 0 and 1. Platt 1999, eq. 11; slope >= 0.01."""
    from scipy.optimize import minimize

    churners = churn.sum()
    high, low = (churners + 1) / (churners + 2), 1 / (len(churn) - churners + 2)
    target = np.where(churn > 0, high, low)
    centre, scale = float(margin.mean()), float(margin.std()) or 1.0
    scaled = (margin - centre) / scale

    def loss(at: Floats) -> tuple[float, Floats]:
        z = at[0] * scaled + at[1]
        off = sigmoid(z) - target
        value = np.mean(np.logaddexp(0.0, z) - target * z)
        return float(value), np.array([np.mean(off * scaled), np.mean(off)])

    start = np.array([scale, np.log(target.mean() / (1 - target.mean()))])
    bounds = [(LEAST_SLOPE * scale, None), (None, None)]
    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"gtol": 1e-9}
    )
    slope = float(found.x[0]) / scale
    return slope, float(found.x[1]) - slope * centre


def _centred_isotonic(margin: Floats, churn: Floats) -> tuple[tuple[float, float], ...]:
    """Each isotonic step at the mean log-odds of its rows. Oron & Flournoy 2017.

    A step is drawn to the rate of all by DRAWN rows (the m-estimate of Cestnik 1990): a handful of
    rows at an end must not say 0 or 1 of everybody beyond it.
    """
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(margin, kind="stable")
    at, starts = np.unique(margin[order], return_index=True)
    mass = np.diff(np.r_[starts, len(order)]).astype(np.float64)
    rate = np.add.reduceat(churn[order], starts) / mass
    steps = isotonic_regression(rate, sample_weight=mass)
    first = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    rows = np.add.reduceat(mass, first)
    centre = np.add.reduceat(at * mass, first) / rows
    drawn = (rows * steps[first] + DRAWN * churn.mean()) / (rows + DRAWN)
    rising = isotonic_regression(drawn, sample_weight=rows)
    return tuple(zip(centre.tolist(), rising.tolist(), strict=True))
