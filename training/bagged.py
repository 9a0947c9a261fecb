"""XGBoost as the average of a few ensembles that differ in their seed alone.

What rows and columns are drawn for each tree moves the AUC of one ensemble by some tenths of a
point on small logs; the average of four has half of that spread (Breiman 1996). The size is
searched once.
"""

from __future__ import annotations

from dataclasses import replace

from runtime.device import Device
from training import trees
from training.blend import Blend, Target, average
from training.metrics import Floats
from training.rows import Rows
from training.trees import Trees, XGBoostSpec

MOST_ROWS = 200_000  # beyond, seeds differ by less than anything else does
SEED_STEP = 1_000_003  # so that the bags of neighbouring seeds share none


def fit_churn(spec: XGBoostSpec, rows: Rows, device: Device) -> tuple[Blend | Trees, XGBoostSpec]:
    """The model and the spec with the size that was found."""
    first, spec = trees.fit_churn(spec, rows, device)
    rest = [trees.fit_churn(bag, rows, device)[0] for bag in _others(spec, rows)]
    return _bag("churn", [first, *rest]), spec


def fit_value(
    spec: XGBoostSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Blend | Trees, XGBoostSpec]:
    """`relative`: value over its mean, none below 0, shape (n,)."""
    first, spec = trees.fit_value(spec, rows, relative, device)
    rest = [trees.fit_value(bag, rows, relative, device)[0] for bag in _others(spec, rows)]
    return _bag("value", [first, *rest]), spec


def _others(spec: XGBoostSpec, rows: Rows) -> list[XGBoostSpec]:
    if len(rows) > MOST_ROWS:
        return []
    return [replace(spec, seed=spec.seed + k * SEED_STEP) for k in range(1, spec.bags)]


def _bag(of: Target, found: list[Trees]) -> Blend | Trees:
    if len(found) == 1:
        return found[0]
    names = tuple(f"bag{k}" for k in range(len(found)))
    return Blend(of, names, tuple(found), average(len(found)))
