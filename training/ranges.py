"""How sure a model's numbers are, learned on its calibration slice: rows that it was not fitted on.

For churn an interval of the probability, for value a distribution about the mean.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from training.churn_interval import of_one_slice
from training.model import Model
from training.own_levels import fit_own_levels
from training.quantiles import Quantiles
from training.rows import labelled
from training.split import Slice
from training.stepwise import Step, longest_known
from training.worth import fit_worth

REFUNDED = 0.01  # a larger share of values below 0 is missed by quantiles that are not


def with_ranges(
    model: Model, frame: pl.DataFrame, calibrate: Slice, steps: tuple[Step, ...], seed: int
) -> Model:
    """The model with `worth` (where it has value), or `own_levels` where it has quantiles of its
    own and hardly any value is below 0, and, where it has none, `churn_interval`.

    Any calibrated and scaled model will do. With steps these are of the longest horizon whose
    labels the slice knows: the table of worth is in money, so means of the whole horizon are read
    in it as they are.
    """
    chosen = calibrate.rows(frame, seed)
    judged = model
    if steps:
        chosen, step = longest_known(chosen, steps, calibrate.until)
        judged = model.until(step.days)
    rows = labelled(chosen, model.inputs, "calibrate", seed)
    mean = judged.expected_value(rows.x)
    worth, own = None, None
    if mean is not None and rows.value is not None:
        refunded = float((rows.value < 0).mean()) > REFUNDED
        if isinstance(model.value, Quantiles) and not steps and not refunded:
            own = fit_own_levels(model.value, rows.x, rows.value, rows.users, model.value_scale)
        else:
            worth = fit_worth(mean, rows.value, rows.users)
    interval = model.churn_interval
    if interval is None:
        interval = of_one_slice(judged.churn_margin(rows.x), rows.churn)
    return replace(model, worth=worth, own_levels=own, churn_interval=interval)
