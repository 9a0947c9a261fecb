"""Estimators fitted once more with the newest labels, where the calibration has been learned.

What calibrates a model must not be what it was fitted on, so a model that is calibrated on the
newest slice has learned nothing else from it, nor from the cutoffs within an embargo before it.
Here its estimators give way to those of a fit with all of them. The calibration stays: it was
learned from a fit as much older than its slice as this one is than the present. Where log-odds lie
and how far they spread is a fit's own, and is brought to what it was; no label is read for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.metrics import Floats
from training.model import Model
from training.rows import Matrix

Read = tuple[Matrix, Matrix]  # the same users as two models read them, shapes (n, inputs)

FARTHEST = 30.0  # log-odds


def refitted(model: Model, new: Model, unseen: Read, seen: Read | None = None) -> Model:
    """`model` with the estimators of `new`.

    unseen    users of whom neither fit has seen an outcome (log-odds of others spread too far):
              their log-odds keep their mean and spread, probabilities of churn their mean, and
              expected values their sum
    seen      where the level was learned from users that the new fit has seen too, it is theirs
              that keep mean probability and sum
    """
    then, now = unseen
    found = replace(
        model, churn=new.churn, value=new.value, medians=new.medians, sequence=new.sequence
    )
    margins = found.churn_margins(now)
    scale, shift = _line(np.concatenate(margins), np.concatenate(model.churn_margins(then)))
    found = replace(found, calibrator=model.calibrator.of_line(scale, shift))
    if model.churn_interval and not model.steps:
        found = replace(found, churn_interval=model.churn_interval.of_line(scale, shift))
    then, now = seen or unseen
    mean = float(model.churn_probability(then).mean())
    found = _of_mean(found, found.churn_margins(now), mean)
    was, value = model.expected_value(then), found.expected_value(now)
    if was is None or value is None or not value.sum():
        return found
    return replace(found, value_scale=found.value_scale * float(was.sum() / value.sum()))


def _line(margin: Floats, wanted: Floats) -> tuple[float, float]:
    """(scale, shift) after which log-odds have the mean and spread of those wanted."""
    spread = float(margin.std())
    scale = float(wanted.std()) / spread if spread > 0 else 0.0
    scale = scale if scale > 0 else 1.0
    return scale, float(wanted.mean() - scale * margin.mean())


def _of_mean(model: Model, margins: list[Floats], mean: float) -> Model:
    """With the calibrator shifted so that the probabilities of these margins have this mean."""
    from scipy.optimize import brentq

    def shifted(by: float) -> Model:
        return replace(model, calibrator=model.calibrator.moved(by, 1.0, 0.0))

    def off(by: float) -> float:
        return float(shifted(by).churn_of(margins).mean()) - mean

    least, most = off(-FARTHEST), off(FARTHEST)
    if least * most >= 0:  # no shift that can be told from certainty comes to the mean
        return shifted(-FARTHEST if abs(least) < abs(most) else FARTHEST)
    return shifted(float(brentq(off, -FARTHEST, FARTHEST)))
