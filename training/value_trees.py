"""XGBoost for value: trees by Tweedie's deviance and trees in two parts, weighed by what they
expect of users whom they have not seen.

Two parts rank better on most logs, above all where amounts are much the same from month to month;
Tweedie's trees know better who brings nothing at all (decision 30).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtime.device import Device
from training import bagged, trees
from training.blend import Blend, average, fit_weights
from training.metrics import Floats
from training.rows import Rows
from training.trees import XGBoostSpec
from training.two_part import TriedOut, TwoPartSpec, fit_tried_out
from training.validation import LEAST

KINDS = ("tweedie", "two-part")
FOLDS = 2  # of five: enough to size the parts and to weigh them by, in less than half of the time


def fit_value(
    spec: XGBoostSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Blend, XGBoostSpec]:
    """The model and the spec with the sizes that were found.

    `relative`: value over its mean, none below 0 and some above, shape (n,).
    """
    tweedie, spec = bagged.fit_value(spec, rows, relative, device)
    parts = replace(spec, most_folds=FOLDS, depths=spec.part_depths)
    asked = TwoPartSpec(spec.parts, trees=parts)
    two, found, out = fit_tried_out(asked, rows, relative, device)
    weights = _weights(spec, rows, relative, out, device)
    blend = Blend("value", KINDS, (tweedie, two), weights)
    return blend, replace(spec, parts=found.sizes)


def _weights(
    spec: XGBoostSpec, rows: Rows, relative: Floats, out: TriedOut, device: Device
) -> tuple[float, ...]:
    """Those of the plain average where nobody can be left out."""
    if not out.outs:
        return average(len(KINDS))
    margins = [
        trees.fit_value(spec, rows.where(~left), relative[~left], device)[0].margin(rows.x[left])
        for left in out.outs
    ]
    expected = np.log(np.maximum(out.expected, LEAST))
    return fit_weights("value", [np.concatenate(margins), expected], out.value)
