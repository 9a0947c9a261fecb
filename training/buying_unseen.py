"""Customers who are fitted on only since they were active in a window, and what that hides.

Where users are snapshots' rows and only the recently active have rows, whoever fell silent before
the first cutoff's window is missing. The likelihood of those who were there before the window is
therefore the one given that they came back in it (left truncation, as in Klein & Moeschberger 2003,
ch. 3): divided by the chance that a newcomer of their age would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.buying_fit import Derivatives
from training.buying_predict import Law
from training.metrics import Floats

NUDGE = 1e-3  # of a logarithm: the chance is smooth to 1e-9


@dataclass(frozen=True)
class Unseen:
    """`before`: different ages at the beginning of the window, above 0, shape (n,); `weight`: how
    many customers of each; `window`: its length, in the unit of the ages."""

    before: Floats
    weight: Floats
    window: float

    def over(self, unit: float) -> Unseen:
        """Times divided by `unit`."""
        return Unseen(self.before / unit, self.weight, self.window / unit)

    def share(self, share: float) -> Unseen:
        """Of a sample of the customers."""
        return Unseen(self.before, self.weight * share, self.window)

    def log_chance(self, logarithms: Floats, extra: int) -> float:
        """The sum of the logarithms of the chances to be seen."""
        r, alpha, a, b = np.exp(logarithms).tolist()
        seen = Law(r, alpha, a, b, extra).newcomer_back(self.before, self.window)
        return float(self.weight @ np.log(np.maximum(seen, 1e-300)))

    def derivatives(self, logarithms: Floats, extra: int) -> Derivatives:
        """Of `log_chance`, by the logarithms of the parameters: central differences."""
        size = len(logarithms)
        nudges = NUDGE * np.eye(size)

        def at(nudge: Floats) -> float:
            return self.log_chance(logarithms + nudge, extra)

        middle, hessian = at(np.zeros(size)), np.zeros((size, size))
        up, down = ([at(sign * nudge) for nudge in nudges] for sign in (1, -1))
        for i in range(size):
            hessian[i, i] = (up[i] - 2 * middle + down[i]) / NUDGE**2
            for j in range(i):
                both = at(nudges[i] + nudges[j]) + at(-nudges[i] - nudges[j])
                mixed = both + 2 * middle - up[i] - down[i] - up[j] - down[j]
                hessian[i, j] = hessian[j, i] = mixed / (2 * NUDGE**2)
        return middle, (np.array(up) - np.array(down)) / (2 * NUDGE), hessian


def unseen(age: Floats, window: float) -> Unseen | None:
    """Of customers of these ages, shape (n,), at the window's end; None where all are younger.
    Whole units: a chance changes little within one."""
    before, weight = np.unique(np.ceil(age[age > window] - window), return_counts=True)
    return Unseen(before, weight.astype(np.float64), window) if len(before) else None
