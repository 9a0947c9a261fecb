"""Trees over the features that say nearly what a sequence model says, so that it has reasons.

A surrogate model (Craven & Shavlik 1996): it explains the other's score, not the outcome, and is
never asked for one.
"""

from __future__ import annotations

import numpy as np

from runtime.device import Device
from training.metrics import Floats
from training.rows import Rows
from training.trees import Size, Trees, XGBoostSpec, boost

SIZE = Size(depth=4, rounds=150)
SPEC = XGBoostSpec(eta=0.1)
MOST_ROWS = 100_000


def fit_stand_in(rows: Rows, margin: Floats, device: Device) -> Trees:
    """From rows of features and the log-odds, shape (n,), that another model gave them."""
    some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.int64))
    keep = np.zeros(len(rows), np.bool_)
    keep[some] = True
    target = margin[keep]
    objective = {
        "objective": "reg:squarederror",
        "eval_metric": "rmse",
        "base_score": float(target.mean()),
    }
    return Trees(boost(SPEC, objective, rows.where(keep), target, SIZE, device)[0])


def explained(stand_in: Trees, rows: Rows, margin: Floats) -> float:
    """The share of the variance of the log-odds that the stand-in explains on these rows."""
    spread = float(((margin - margin.mean()) ** 2).sum())
    if spread == 0:
        return 1.0
    return 1.0 - float(((margin - stand_in.margin(rows.x)) ** 2).sum()) / spread
