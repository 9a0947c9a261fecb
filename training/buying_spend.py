"""What a customer spends at a time, given known amounts and the parameters of Gamma-Gamma: see
`buying_gamma_gamma`, which fits them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.buying_fit import Fit
from training.metrics import Floats

NAMES = ("p", "q", "gamma")  # of the parameters


@dataclass(frozen=True)
class Spend:
    """How many amounts of each customer are known, and their mean (any where there are none);
    arrays of shape (n,), Float64."""

    count: Floats
    mean: Floats

    def __len__(self) -> int:
        return len(self.count)


def mean_spend(fit: Fit, spend: Spend) -> Floats:
    """Expected amount of a customer's next purchase, shape (n,), in the currency.

    p (gamma + n m) / (p n + q - 1): between the customer's own mean and everyone's p gamma /
    (q - 1), which is all that is known of one without purchases (Fader & Hardie 2013, eq. 5).
    Infinite where p n + q is 1 or less.
    """
    p = fit.values[0]
    shape, scale = posterior(fit, spend)
    with np.errstate(divide="ignore"):
        return np.where(shape > 1, p * scale / np.maximum(shape - 1, 0.0), np.inf)


def finite_spend(fit: Fit, spend: Spend, amount: float) -> Floats:
    """`mean_spend`, and `amount` where that is infinite."""
    expected = mean_spend(fit, spend)
    return np.where(np.isfinite(expected), expected, amount)


def posterior(fit: Fit, spend: Spend) -> tuple[Floats, Floats]:
    """Shape and rate of nu given the amounts: q + p n and gamma + n m, each of shape (n,)."""
    p, q, gamma = fit.values
    total = np.where(spend.count > 0, spend.count * spend.mean, 0.0)
    return q + p * spend.count, gamma + total
