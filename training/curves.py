"""The curves of a run as numbers: what a page draws its calibration and gain from."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluate import Evaluation
from training.metrics import Floats
from training.plots import equal_mass, rate_interval

CURVES = "curves.json"  # among the files of a run
POINTS = 20


def curves(found: Evaluation) -> dict[str, Any]:
    """`calibration`: ten groups of equal size by predicted probability, each with rows, its mean
    prediction and the observed rate with low and high (95 %). `gain`: for each share of the rows,
    riskiest first, the share of churners among them; `recency` the same of the floor."""
    return {
        "calibration": _calibration(found.churn, found.probability),
        "gain": _gain(found.churn, found.probability),
        "recency": None
        if found.recency_probability is None
        else _gain(found.churn, found.recency_probability),
        "rows": len(found.churn),
    }


def _calibration(churn: Floats, probability: Floats) -> list[dict[str, float]]:
    bins = equal_mass(probability)
    rows = np.bincount(bins).astype(np.float64)
    used = rows > 0
    predicted = np.bincount(bins, probability)[used] / rows[used]
    observed = np.bincount(bins, churn)[used] / rows[used]
    low, high = rate_interval(observed, rows[used])
    columns = {"rows": rows[used], "predicted": predicted, "observed": observed}
    columns |= {"low": low, "high": high}
    return [{name: float(values[n]) for name, values in columns.items()} for n in range(used.sum())]


def _gain(churn: Floats, probability: Floats) -> list[dict[str, float]]:
    """Rows of equal probability are taken together, at their mean rate."""
    _, place, count = np.unique(-probability, return_inverse=True, return_counts=True)
    caught = np.bincount(place, churn)
    x = np.r_[0, np.cumsum(count)] / len(churn)
    y = np.r_[0, np.cumsum(caught)] / max(churn.sum(), 1)
    at = np.linspace(0, 1, POINTS + 1)
    shares = np.interp(at, x, y)
    return [{"share": float(a), "gain": float(g)} for a, g in zip(at, shares, strict=True)]
