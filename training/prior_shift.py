"""Label shift: the churn rate at the present cutoff from its unlabelled scores alone.

Both methods hold that users who churn look as they did, and so do those who stay, and that only
their shares have changed. Where features have moved for another reason they mislead: whether to
follow them is decided by backtest (training.level_choice).
"""

from __future__ import annotations

import numpy as np

from training.metrics import Floats

EM_STEPS = 200
CLOSE = 1e-8
LEAST_RATE = 1e-4
LEAST_APART = 0.02  # below, the scores tell the classes apart too little to invert


def logit(rate: float) -> float:
    held = min(max(rate, LEAST_RATE), 1 - LEAST_RATE)
    return float(np.log(held / (1 - held)))


def em_rate(probability: Floats, weights: Floats, rate: float) -> float:
    """The churn rate at which the scores are likeliest. Saerens, Latinne & Decaestecker 2002.

    `probability`, `weights`: calibrated at a rate of `rate`, of the unlabelled rows, shape (n,).
    """
    found = min(max(rate, LEAST_RATE), 1 - LEAST_RATE)
    was, total = found, weights.sum()
    for _ in range(EM_STEPS):
        more, less = found / was, (1 - found) / (1 - was)
        high = probability * more
        now = float(weights @ (high / (high + (1 - probability) * less)) / total)
        now = min(max(now, LEAST_RATE), 1 - LEAST_RATE)
        if abs(now - found) < CLOSE:
            return now
        found = now
    return found


def bbse_rate(
    probability: Floats, weights: Floats, known: Floats, churned: Floats, mass: Floats
) -> float | None:
    """The rate that explains the mean score, by the mean score of either class where it is known.

    Lipton, Wang & Smola 2018, with soft predictions. `probability` (n,) and `weights` (n,) of the
    unlabelled rows; `known` (k,) of the labelled, `churned` of `mass` rows there. None where the
    scores do not tell the classes apart.
    """
    stayed = mass - churned
    if churned.sum() <= 0 or stayed.sum() <= 0:
        return None
    high = float(churned @ known / churned.sum())
    low = float(stayed @ known / stayed.sum())
    if high - low < LEAST_APART:
        return None
    mean = float(weights @ probability / weights.sum())
    return min(max((mean - low) / (high - low), LEAST_RATE), 1 - LEAST_RATE)
