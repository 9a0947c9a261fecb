"""`--model auto`: the sensible few within a time budget, chosen on a later slice than the fit.

Churn and value are chosen each for itself by the losses of `training.validation` on the
calibration slice: among the models alone, the simplest first, the plain averages of two, that of
all, and their stack with learned weights. Of those that are tied with the best (within one standard
error over users) the plain average is taken, which chooses nothing and is seldom worse than its
parts; else the simplest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from runtime.errors import ModelError, UsageError
from runtime.progress import say
from training.blend import Blend, Target
from training.buying_columns import is_of_purchases
from training.buying_spec import BuyingSpec
from training.column import Column
from training.fitting import Data, Fit, data_of, finished, fit_on, fit_sequence_on
from training.kinds import Spec, spec_of
from training.metrics import Floats
from training.mixes import Mix, Tried, pick, tried
from training.model import Model
from training.sequence_spec import SequenceSpec, cost_seconds
from training.split import Slice
from training.task import Task

KINDS = ("logistic", "buying", "xgboost", "sequence")  # the simplest first


@dataclass(frozen=True)
class AutoSpec:
    """`minutes`: no further kind is begun after them. `churn`, `value`: what was chosen, None: to
    be chosen; `specs`: the settled spec of each kind."""

    minutes: float = 30.0
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    churn: Mix | None = None
    value: Mix | None = None
    specs: Mapping[str, Spec] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """`churn_loss`, `value_loss`: means on the calibration slice; None: there is no value."""

    mix: Mix
    model: Model
    frame: pl.DataFrame
    settled: Spec | None
    churn_loss: float
    value_loss: float | None
    seconds: float


@dataclass(frozen=True)
class AutoFit(Fit):
    candidates: tuple[Candidate, ...] = ()


def fit(frame: pl.DataFrame, on: Slice, calibrate: Slice, spec: AutoSpec, task: Task) -> AutoFit:
    """Tries and chooses, or, where that is settled, fits again what was chosen.

    Raises LabelError where a slice is empty or the fit slice has one class only.
    """
    data = data_of(frame, on, calibrate, task)
    if spec.churn is None:
        return _choose(data, spec, task)
    wanted = {*spec.churn.kinds, *(spec.value.kinds if spec.value else ())}
    parts = {
        kind: _part(data, kind, spec.specs[kind], task) for kind in spec.kinds if kind in wanted
    }
    return _joined(parts, spec, data, task, ())


def searched_anew(settled: AutoSpec) -> AutoSpec:
    """The same mixtures, of parts whose sizes and penalties are searched on the rows at hand. A
    sequence model keeps its steps: their search takes longest."""
    specs = {
        kind: one if isinstance(one, SequenceSpec) else spec_of(kind, settled.seed)
        for kind, one in settled.specs.items()
    }
    return replace(settled, specs=specs)


@dataclass(frozen=True)
class Part:
    """One kind alone, and the rows that it is calibrated on, with its inputs."""

    fit: Fit
    data: Data
    seconds: float


def _part(data: Data, kind: str, spec: Spec, task: Task) -> Part:
    start = time.monotonic()
    mine = replace(task, kind=kind)
    if isinstance(spec, SequenceSpec):
        found, data = fit_sequence_on(data, spec, mine)
    else:
        found = fit_on(data, spec, mine)
    return Part(found, data, time.monotonic() - start)


def _choose(data: Data, spec: AutoSpec, task: Task) -> AutoFit:
    parts, notes = _each(data, spec, task)
    churn = tried("churn", _margins("churn", parts), data.later)
    best = pick(churn, data.later.users)
    value, best_value = None, None
    if data.later_paid is not None:
        value = tried("value", _margins("value", parts), data.later_paid)
        best_value = pick(value, data.later_paid.users)
    say(f"auto: churn by {best.mix}" + (f", value by {best_value.mix}" if best_value else ""))
    settled = replace(
        spec,
        kinds=tuple(parts),
        churn=best.mix,
        value=best_value.mix if best_value else None,
        specs={kind: part.fit.settled for kind, part in parts.items()},
    )
    worths: Sequence[Tried | None] = value or [None] * len(churn)
    candidates = [
        _candidate(one, worth, parts, settled, data, task)
        for one, worth in zip(churn, worths, strict=True)
    ]
    chosen = _joined(parts, settled, data, task, notes)
    return replace(chosen, candidates=tuple(candidates))


def _candidate(
    churn: Tried,
    value: Tried | None,
    parts: Mapping[str, Part],
    settled: AutoSpec,
    data: Data,
    task: Task,
) -> Candidate:
    alone = parts[churn.mix.name].fit if len(churn.mix.kinds) == 1 else None
    mixes = replace(settled, churn=churn.mix, value=value.mix if value else None)
    found = alone or _joined(parts, mixes, data, task, ())
    return Candidate(
        mix=churn.mix,
        model=found.model,
        frame=found.frame,
        settled=alone.settled if alone else None,
        churn_loss=float(churn.losses.mean()),
        value_loss=float(value.losses.mean()) if value else None,
        seconds=sum(parts[kind].seconds for kind in churn.mix.kinds),
    )


def _margins(of: Target, parts: Mapping[str, Part]) -> dict[str, Floats]:
    """What each part says of the later rows, shape (n,)."""
    found = {}
    for kind, part in parts.items():
        rows = part.data.later if of == "churn" else part.data.later_paid
        estimator = part.fit.model.churn if of == "churn" else part.fit.model.value
        assert rows is not None
        assert estimator is not None
        found[kind] = estimator.margin(rows.x)
    return found


def _each(data: Data, spec: AutoSpec, task: Task) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Every kind alone, and which were left out and why."""
    parts: dict[str, Part] = {}
    notes: list[str] = []
    begin = time.monotonic()
    for kind in spec.kinds:
        left = spec.minutes * 60 - (time.monotonic() - begin)
        wanted = spec_of(kind, spec.seed)
        why = _not_for_buying(data, task) if isinstance(wanted, BuyingSpec) else None
        if why or (parts and (why := _without(wanted, data, task, left))):
            notes.append(f"auto: {kind} was not tried: {why}")
            continue
        say(f"auto: {kind}")
        found = _begun(data, kind, wanted, task)
        if isinstance(found, str):
            notes.append(f"auto: {kind} was not tried: {found}")
        else:
            parts[kind] = found
    return parts, tuple(notes)


def _not_for_buying(data: Data, task: Task) -> str | None:
    """Why models of buying are not tried. They are on a log of purchases of which no label of the
    horizon has matured: they know as much there as ever, and the others little (decision 25)."""
    if (kind := task.spec.definitions.churn.kind) != "passive":
        return f"it says when users fall silent, and churn.kind is '{kind}'"
    asked = "; --model buying fits it all the same"
    if task.measured is None:
        return f"labels of the whole horizon have matured, and the others rank better{asked}"
    if not is_of_purchases(data.rows.x, task.features):
        return f"not for nine users in ten is each activity a purchase, by the features{asked}"
    return None


def _begun(data: Data, kind: str, spec: Spec, task: Task) -> Part | str:
    """The kind alone, or why a model of buying can say nothing of this log."""
    try:
        return _part(data, kind, spec, task)
    except (ModelError, UsageError) as error:
        if not isinstance(spec, BuyingSpec):
            raise
        return str(error)


def _without(spec: Spec, data: Data, task: Task, seconds_left: float) -> str | None:
    """Why a kind is not tried, if it is not."""
    if seconds_left <= 0:
        return "training.minutes are over; give it more"
    if not isinstance(spec, SequenceSpec):
        return None
    if task.sequences is None:
        return "no label of the whole horizon has matured"
    from training.sequence_rows import counted

    needed = cost_seconds(counted(task.sequences, data.on.rows(data.frame, task.seed)), spec)
    # Three times: the estimators are fitted again with what is known at the test cutoff, and now.
    if 3 * needed > seconds_left:
        return f"it would take about {3 * needed / 60:.0f} min; raise training.minutes"
    return None


def _joined(
    parts: Mapping[str, Part], spec: AutoSpec, data: Data, task: Task, notes: tuple[str, ...]
) -> AutoFit:
    """One model of the parts that the spec has chosen, calibrated on the later slice."""
    assert spec.churn is not None
    wanted = {*spec.churn.kinds, *(spec.value.kinds if spec.value else ())}
    wide = [p.data for kind, p in parts.items() if kind in wanted and p.data.sequence is not None]
    data = wide[0] if wide else data
    beside = bool(wide)
    churn = _estimator(
        "churn", {k: p.fit.model.churn for k, p in parts.items()}, spec.churn, beside
    )
    value = None
    if spec.value:
        values = {k: p.fit.model.value for k, p in parts.items() if p.fit.model.value is not None}
        value = _estimator("value", values, spec.value, beside)
    found = finished(churn, value, spec, data, task)
    return AutoFit(found.model, found.rows, found.settled, (*notes, *found.notes), found.frame)


def _estimator(of: Target, parts: Mapping[str, Any], mix: Mix, beside: bool) -> Any:
    """`beside`: whether the model has a sequence model in it, for whatever part."""
    if len(mix.kinds) == 1 and (not beside or isinstance(parts[mix.kinds[0]], Column)):
        return parts[mix.kinds[0]]
    return Blend(of, mix.kinds, tuple(parts[kind] for kind in mix.kinds), mix.weights, beside)
