"""Customers who buy and leave as BG/NBD or MBG/NBD says: for checks of the fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.buying_data import Histories
from training.metrics import Floats


def simulate(parameters: Sequence[float], ages: Floats, extra: int, seed: int) -> Histories:
    """Histories of customers of these ages, shape (n,); parameters (r, alpha, a, b).

    extra   0: BG/NBD; 1: MBG/NBD, where the first purchase may be the last
    """
    r, alpha, a, b = parameters
    draw = np.random.default_rng(seed)
    age = np.asarray(ages, dtype=np.float64)
    rate, leaves = draw.gamma(r, 1 / alpha, len(age)), draw.beta(a, b, len(age))
    count, last = np.zeros(len(age)), np.zeros(len(age))
    here = np.arange(len(age))
    if extra:
        here = here[draw.random(len(here)) >= leaves]
    while len(here):
        with np.errstate(divide="ignore", over="ignore"):  # a rate of 0: never
            at = last[here] + draw.exponential(size=len(here)) / rate[here]
        bought = at <= age[here]
        here, at = here[bought], at[bought]
        count[here] += 1
        last[here] = at
        here = here[draw.random(len(here)) >= leaves[here]]
    return Histories(count, last, age)
