"""One fit: estimators on the fit slice, calibration on a later one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from runtime.device import Device
from runtime.errors import UsageError
from runtime.progress import say
from training import bagged, forest, linear, quantiles, two_part, value_trees
from training.buying_spec import BuyingSpec
from training.buying_spending import Spending
from training.calibration import Calibrator, fit_calibrator
from training.column import BESIDE, CHURN, VALUE, Column
from training.forest import ForestSpec
from training.kinds import OF_VALUE, Pair, Spec
from training.linear import LogisticSpec
from training.metrics import Floats
from training.model import Estimator, Model, ValueEstimator
from training.quantiles import Quantiles, QuantileSpec
from training.ranges import with_ranges
from training.rows import Rows, both_classes, labelled
from training.sequence_spec import SequenceSpec
from training.split import Slice
from training.stand_in import explained, fit_stand_in
from training.stepwise import STEP, stacked
from training.task import Task
from training.trees import XGBoostSpec
from training.two_part import TwoPartSpec
from training.value_level import followed, levels_of, some_users
from training.ziln import Ziln, ZilnSpec

if TYPE_CHECKING:
    from training.sequence_columns import SequenceColumns


NO_VALUE = "no value to calibrate on: expected value is scaled to what was fitted on"
Value = tuple[ValueEstimator | None, Any]


@dataclass(frozen=True)
class Fit:
    """`settled`: the spec with everything that was chosen on the way written into it; `rows`:
    those that were fitted on; `frame`: the snapshots, with the model's inputs."""

    model: Model
    rows: Rows
    settled: Any  # a Spec, or auto's
    notes: tuple[str, ...]
    frame: pl.DataFrame


@dataclass(frozen=True)
class Data:
    """Rows to fit on and to calibrate on; `paid`, `later_paid`: those that value is of, None on a
    log without amounts. `frame`: the snapshots that they are of. With `sequence` the later rows
    and the frame have its columns beside the features."""

    frame: pl.DataFrame
    on: Slice
    rows: Rows
    paid: Rows | None
    later: Rows
    later_paid: Rows | None
    calibrate: Slice
    sequence: SequenceColumns | None = None


def fit(frame: pl.DataFrame, on: Slice, calibrate: Slice, spec: Spec, task: Task) -> Fit:
    """Fits on one slice of `frame` and calibrates on another; reads no other row.

    Raises LabelError where a slice is empty or the fit slice has one class only.
    """
    return fit_on(data_of(frame, on, calibrate, task), spec, task)


def data_of(frame: pl.DataFrame, on: Slice, calibrate: Slice, task: Task) -> Data:
    """Raises LabelError as `fit` does."""
    rows, paid = rows_of(frame, on, "fit", task)
    later, later_paid = rows_of(frame, calibrate, "calibrate", task)
    both_classes(rows, "fit", task.of_ends)
    return Data(frame, on, rows, paid, later, later_paid, calibrate)


def fit_on(data: Data, spec: Spec, task: Task) -> Fit:
    """Raises UsageError for a model of value on a log without amounts."""
    if data.paid is None and task.kind in OF_VALUE:
        raise UsageError(
            f"model '{task.kind}': is one of value, and the log has no amounts; map them under "
            "[source.columns] or choose another model"
        )
    if isinstance(spec, SequenceSpec):
        return fit_sequence_on(data, spec, task)[0]
    if isinstance(spec, BuyingSpec):
        return _fit_buying_on(data, spec, task)
    churn, spec = FITTERS[type(spec)][0](spec, data.rows, task.device)
    value, spec = value_fitted(spec, data.paid, task.device)
    return finished(churn, value, spec, data, task)


def _fit_buying_on(data: Data, spec: BuyingSpec, task: Task) -> Fit:
    from training.buying_kind import fit_silence, fit_spending, people_of, spans_of

    definitions, device = task.spec.definitions, task.device
    # What happened before the calibration's oldest cutoff is known too: no label is asked for.
    # What its newer ones know are the outcomes of the oldest.
    oldest = data.calibrate.cutoffs[-1]
    known = replace(data.on, cutoffs=tuple({*data.on.cutoffs, oldest}))
    people = people_of(known.rows(data.frame, task.seed), task.features, definitions)
    spans = spans_of(definitions, tuple(step.days for step in task.steps))
    silence = fit_silence(spec.churn, people, spans[0], device)
    say(f"buying: {silence}")
    value: ValueEstimator | None = None
    notes: tuple[str, ...] = ()
    settled = replace(spec, churn=silence.kind)
    if data.paid is not None and relative_value(data.paid) is not None:
        value, notes = fit_spending(spec.value, people, silence, data.paid, spans[1], device)
    if isinstance(value, Spending):
        settled = replace(settled, value=value.kind)
    found = finished(silence, value, settled, data, task)
    return replace(found, notes=(*notes, *found.notes))


def fit_sequence_on(data: Data, spec: SequenceSpec, task: Task) -> tuple[Fit, Data]:
    """The fit, and the data with what the sequence model says beside all rows.

    Raises UsageError where the log is too young: such a model is of the whole horizon.
    """
    from training.sequence_fitting import fit_sequence

    if task.sequences is None:
        raise UsageError(
            f"model '{task.kind}': no label of the whole horizon has matured, which sequence "
            "models are fitted on; shorten churn.horizon_days or choose another model"
        )
    on = data.on.rows(data.frame, task.seed)
    columns, settled = fit_sequence(
        spec, task.sequences, on, task.spec.definitions, task.device, task.checkpoints
    )
    frame = data.frame.hstack(columns.of_rows(task.sequences, data.frame))
    inputs = (*task.features, *BESIDE)
    seen, later = (
        labelled(of.rows(frame, task.seed), inputs, role, task.seed)
        for of, role in ((data.on, "fit"), (data.calibrate, "calibrate"))
    )
    wide = replace(
        data,
        frame=frame,
        later=later,
        paid=seen if data.paid else None,
        later_paid=later if data.later_paid else None,
        sequence=columns,
    )
    column = Column(CHURN)
    stand_in = fit_stand_in(data.rows, column.margin(seen.x), task.device)
    share = explained(stand_in, data.later, column.margin(later.x))
    say(f"sequences: the stand-in that gives reasons explains {share:.0%} of the log-odds")
    churn = replace(column, stand_in=stand_in)
    return finished(churn, Column(VALUE) if data.paid else None, settled, wide, task), wide


def finished(
    churn: Estimator, value: ValueEstimator | None, settled: Any, data: Data, task: Task
) -> Fit:
    """Estimators that are fitted already, calibrated on the later slice."""
    later = data.later
    calibrator = fit_calibrator(churn.margin(later.x), later.churn, smooth=bool(task.steps))
    scale, scale_note = _value_scale(value, data, task)
    model = Model(
        kind=task.kind,
        spec=task.spec,
        features=task.features,
        as_of=task.as_of,
        churn=churn,
        calibrator=calibrator or Calibrator(),
        value=value,
        value_scale=scale,
        medians=_medians(data.rows),
        steps=tuple(step.days for step in task.steps),
        sequence=data.sequence,
    )
    notes = [scale_note] if scale_note else []
    if calibrator is None:
        at = data.calibrate
        notes.append(f"one class only to calibrate on ({at}): churn is left uncalibrated")
    model = with_ranges(model, data.frame, data.calibrate, task.steps, task.seed)
    if isinstance(value, Quantiles) and model.worth is not None:
        why = (
            "quantiles of the steps of a young log do not add up"
            if task.steps
            else "of too many users more came back than was spent, and no quantile is below 0"
        )
        notes.append(
            "value's median and interval are read off the table of means, as for other models: "
            + why
        )
    return Fit(model, data.rows, settled, tuple(notes), data.frame)


def rows_of(frame: pl.DataFrame, of: Slice, role: str, task: Task) -> tuple[Rows, Rows | None]:
    """Those that churn, and those that value is learned from."""
    chosen = of.rows(frame, task.seed)
    if not task.steps:
        rows = labelled(chosen, task.features, role, task.seed)
        return rows, None if rows.value is None else rows
    ended = 0 if task.of_ends else 1
    found = stacked(chosen, task.features, task.steps, ended, of.until, role, task.seed)
    return found.hazard, found.value


def value_fitted(spec: Spec, rows: Rows | None, device: Device) -> Value:
    """The estimator of relative value, None where no row has an amount, and the settled spec."""
    if rows is None or (relative := relative_value(rows)) is None:
        return None, spec
    if not _varies(relative):
        return linear.flat(len(rows.features)), spec
    found: Value = FITTERS[type(spec)][1](spec, rows, relative, device)
    return found


def _fit_pair_churn(spec: Pair, rows: Rows, device: Device) -> tuple[Any, Pair]:
    found, settled = FITTERS[type(spec.churn)][0](spec.churn, rows, device)
    return found, replace(spec, churn=settled)


def _fit_pair_value(spec: Pair, rows: Rows, relative: Floats, device: Device) -> tuple[Any, Pair]:
    found, settled = FITTERS[type(spec.value)][1](spec.value, rows, relative, device)
    return found, replace(spec, value=settled)


def _fit_ziln(spec: ZilnSpec, rows: Rows, relative: Floats, device: Device) -> tuple[Ziln, Any]:
    from training.ziln_fit import fit_value  # loads PyTorch

    return fit_value(spec, rows, relative, device)


# How churn and value are fitted; None: not by this.
FITTERS: dict[type, tuple[Any, Any]] = {
    LogisticSpec: (
        linear.fit_churn,
        lambda spec, rows, relative, device: linear.fit_value(spec, rows, relative),
    ),
    ForestSpec: (forest.fit_churn, forest.fit_value),
    XGBoostSpec: (bagged.fit_churn, value_trees.fit_value),
    TwoPartSpec: (None, two_part.fit_value),
    ZilnSpec: (None, _fit_ziln),
    QuantileSpec: (None, quantiles.fit_value),
    Pair: (_fit_pair_churn, _fit_pair_value),
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


def _value_scale(value: ValueEstimator | None, data: Data, task: Task) -> tuple[float, str | None]:
    """Money per unit of the estimator: see training.value_level."""
    if value is None or data.paid is None:
        return 0.0, None
    slices = [data.paid] if data.later_paid is None else [data.paid, data.later_paid]
    seen = map(some_users, slices)
    each = [levels_of(value.margin(rows.x), rows) for rows in seen]
    if not any(each):
        return 0.0, "nobody brought anything: expected value is 0"
    note = None if each[-1] and data.later_paid else NO_VALUE
    days = task.spec.definitions.value_horizon_days
    return followed([level for levels in each for level in levels], days), note


def _medians(rows: Rows) -> dict[str, float]:
    found = zip(rows.features, map(linear.middle, rows.x.T), strict=True)
    return {n: median for n, median in found if median is not None and n != STEP}
