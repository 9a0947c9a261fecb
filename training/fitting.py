"""One fit: estimators on the fit slice, calibration on a later one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from features.spec import FeatureSpec
from runtime.device import Device
from runtime.errors import UsageError
from training import linear, trees
from training.calibration import Calibrator, fit_calibrator
from training.linear import LogisticSpec
from training.metrics import Floats
from training.model import Estimator, Model
from training.rows import Rows, both_classes, labelled
from training.split import Slice
from training.trees import XGBoostSpec

Spec = LogisticSpec | XGBoostSpec
Pair = tuple[Estimator, Estimator | None, Any]


@dataclass(frozen=True)
class Task:
    """What is the same for every fit of one training."""

    kind: str
    spec: FeatureSpec
    features: tuple[str, ...]
    as_of: datetime
    seed: int
    device: Device


@dataclass(frozen=True)
class Fit:
    """`settled`: the spec with everything that was chosen on the way written into it."""

    model: Model
    rows: Rows
    settled: Spec
    notes: tuple[str, ...]


def spec_of(kind: str, seed: int) -> Spec:
    """Raises UsageError for a kind that is not known."""
    kinds: dict[str, Callable[[], Spec]] = {
        "xgboost": lambda: XGBoostSpec(seed=seed),
        "logistic": LogisticSpec,
    }
    if kind not in kinds:
        raise UsageError(f"model '{kind}' is not known; choose one of {', '.join(sorted(kinds))}")
    return kinds[kind]()


def fit(frame: pl.DataFrame, on: Slice, calibrate: Slice, spec: Spec, task: Task) -> Fit:
    """Fits on one slice of `frame` and calibrates on another; reads no other row.

    Raises LabelError where a slice is empty or the fit slice has one class only.
    """
    chosen = on.rows(frame, task.seed)
    rows = labelled(chosen, task.features, "fit", task.seed)
    both_classes(rows, "fit")
    churn, value, settled = FITTERS[type(spec)](spec, rows, task.device)
    later = labelled(calibrate.rows(frame, task.seed), task.features, "calibrate", task.seed)
    calibrator = fit_calibrator(churn.margin(later.x), later.churn)
    scale, scale_note = _value_scale(value, rows, later)
    model = Model(
        kind=task.kind,
        spec=task.spec,
        features=task.features,
        as_of=task.as_of,
        churn=churn,
        calibrator=calibrator or Calibrator(),
        value=value,
        value_scale=scale,
        medians=_medians(rows),
    )
    notes = [scale_note] if scale_note else []
    if calibrator is None:
        notes.append(f"one class only to calibrate on ({calibrate}): churn is left uncalibrated")
    return Fit(model, rows, settled, tuple(notes))


def _fit_linear(spec: LogisticSpec, rows: Rows, device: Device) -> Pair:
    churn, spec = linear.fit_churn(spec, rows, device)
    if (relative := relative_value(rows)) is None:
        return churn, None, spec
    if not _varies(relative):
        return churn, linear.flat(len(rows.features)), spec
    value, spec = linear.fit_value(spec, rows, relative)
    return churn, value, spec


def _fit_trees(spec: XGBoostSpec, rows: Rows, device: Device) -> Pair:
    churn, spec = trees.fit_churn(spec, rows, device)
    if (relative := relative_value(rows)) is None:
        return churn, None, spec
    if not _varies(relative):
        return churn, linear.flat(len(rows.features)), spec
    value, spec = trees.fit_value(spec, rows, relative, device)
    return churn, value, spec


FITTERS: dict[type, Callable[[Any, Rows, Device], Pair]] = {
    LogisticSpec: _fit_linear,
    XGBoostSpec: _fit_trees,
}


def relative_value(rows: Rows) -> Floats | None:
    """Value over its mean, shape (n,); what is below 0 (more refunded than spent) counts as 0.

    The refunds come back in the scale, which makes the sum over the calibration slice right.
    """
    if rows.value is None:
        return None
    spent = np.maximum(rows.value, 0.0)
    return spent / (spent.mean() or 1.0)


def _varies(relative: Floats) -> bool:
    return bool(relative.min() < relative.max())


def _value_scale(value: Estimator | None, rows: Rows, later: Rows) -> tuple[float, str | None]:
    """Money per unit of the estimator, so that the sum over the calibration slice is right."""
    if value is None or rows.value is None:
        return 0.0, None
    total = 0.0 if later.value is None else float(later.value.sum())
    if total > 0:
        return total / float(np.exp(value.margin(later.x)).sum()), None
    mean = max(float(rows.value.mean()), 0.0)
    return mean, "no value to calibrate on: expected value is scaled to the fit's mean"


def _medians(rows: Rows) -> dict[str, float]:
    found = zip(rows.features, map(linear.middle, rows.x.T), strict=True)
    return {name: median for name, median in found if median is not None}
