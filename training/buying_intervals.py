"""How sure a customer's own probability is: what is left open by the parameters' intervals."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from training.buying_data import Histories
from training.buying_fit import Fit
from training.buying_predict import NAMES, Law
from training.metrics import Floats

STEP = 1e-4  # of a logarithm of a parameter
NEAREST = 1e-15  # to 0 and 1


def silent_interval(
    law: Law, fit: Fit, known: Histories, horizon: float, gap: float, level: float
) -> Floats:
    """Within what P(no purchase) lies with probability `level`, shape (n, 2).

    The delta method on the scale of log-odds, so within [0, 1]: derivatives by the logarithms of
    the parameters (central differences), and the parameters' covariance. It is of the
    probability, given that the model is right; whether one buys is another matter. NaN where the
    data do not tell some parameter: its variance is not known, and without it these would say
    that they are sure.
    """
    if any(cell is None for row in fit.log_covariance for cell in row):
        return np.full((len(known), 2), np.nan)
    middle = _odds(law.silent(known, horizon, gap))
    slopes = np.empty((len(known), len(NAMES)))
    for k, name in enumerate(NAMES):
        up, down = (_shifted(law, name, by, known, horizon, gap) for by in (STEP, -STEP))
        slopes[:, k] = (up - down) / (2 * STEP)
    spread = np.array(fit.log_covariance, dtype=np.float64)
    variance = np.maximum(((slopes @ spread) * slopes).sum(axis=1), 0.0)
    reach = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(variance)
    ends = np.stack([middle - reach, middle + reach], axis=1)
    return np.asarray(1 / (1 + np.exp(-ends)))


def _shifted(
    law: Law, name: str, by: float, known: Histories, horizon: float, gap: float
) -> Floats:
    moved = replace(law, **{name: getattr(law, name) * float(np.exp(by))})
    return _odds(moved.silent(known, horizon, gap))


def _odds(probability: Floats) -> Floats:
    inside = np.clip(probability, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
