"""What a model is chosen by: its loss on a later slice, calibrated by users it is not measured on.

So a candidate's level, which the calibration mends in any case, decides nothing, and what the
mending itself costs is counted alike for all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.calibration import Calibrator, fit_calibrator
from training.metrics import Floats

Folds = npt.NDArray[np.int64]
POWER = 1.5  # of the Tweedie deviance
LEAST = 1e-12


def churn_losses(margin: Floats, churn: Floats, fold: Folds) -> Floats:
    """Log loss of each row, shape (n,), of log-odds (n,), after Platt's calibration on the other
    folds. Rows whose other folds hold one class only are taken as they are."""
    found = np.empty(len(churn))
    for one in np.unique(fold):
        out = fold == one
        platt = fit_calibrator(margin[~out], churn[~out], smooth=True) or Calibrator()
        z = np.clip(platt.slope * margin[out] + platt.intercept, -30.0, 30.0)
        found[out] = np.logaddexp(0.0, z) - churn[out] * z
    return found


def value_losses(mean: Floats, value: Floats, fold: Folds) -> Floats:
    """Tweedie deviance of each row, shape (n,), in units of the mean value, after scaling expected
    values (n,) to the sum of the other folds. What is below 0 counts as 0."""
    spent = np.maximum(value, 0.0)
    unit = float(spent.mean()) or 1.0
    found = np.empty(len(value))
    for one in np.unique(fold):
        out = fold == one
        rest = float(mean[~out].sum())
        scale = float(spent[~out].sum()) / rest if rest > 0 else 1.0
        found[out] = tweedie(np.maximum(scale * mean[out] / unit, LEAST), spent[out] / unit)
    return found


def tweedie(mean: Floats, value: Floats) -> Floats:
    """Half the unit deviance of power POWER but for what depends on the value alone, shape (n,).
    Jorgensen 1987."""
    found = mean ** (2 - POWER) / (2 - POWER) + value * mean ** (1 - POWER) / (POWER - 1)
    return np.asarray(found)
