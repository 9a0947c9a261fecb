"""`--model auto`: the sensible few within a time budget, chosen on a later slice than the fit.

Churn and value are chosen each for itself by the losses of `training.validation` on the
calibration slice: among the models alone, the simplest first, then their plain average, then
their stack with learned weights. A later one is taken only where it is better than the one
chosen so far by more than TIE standard errors over users: a simpler model wins a tie.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from runtime.progress import say
from training.blend import Blend, Target, average, fit_weights, joined
from training.fitting import Data, Fit, Spec, Task, data_of, finished, fit_on, spec_of
from training.metrics import Floats
from training.model import Estimator, Model
from training.rows import Rows
from training.split import Slice
from training.validation import churn_losses, value_losses

KINDS = ("logistic", "xgboost")  # the simplest first
TIE = 0.5  # standard errors: which of two is better has to be likely, not proven


@dataclass(frozen=True)
class Mix:
    """Kinds and their weights; one kind alone has the weight 1."""

    name: str
    kinds: tuple[str, ...]
    weights: tuple[float, ...] = (1.0,)

    def __str__(self) -> str:
        if len(self.kinds) == 1:
            return self.name
        each = zip(self.weights, self.kinds, strict=True)
        return f"{self.name} ({', '.join(f'{weight:.2f} {kind}' for weight, kind in each)})"


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
    settled: Spec | None
    churn_loss: float
    value_loss: float | None
    seconds: float


@dataclass(frozen=True)
class AutoFit(Fit):
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Tried:
    """`losses`: of each row of the calibration slice, shape (n,)."""

    mix: Mix
    losses: Floats


def fit(frame: pl.DataFrame, on: Slice, calibrate: Slice, spec: AutoSpec, task: Task) -> AutoFit:
    """Tries and chooses, or, where that is settled, fits again what was chosen.

    Raises LabelError where a slice is empty or the fit slice has one class only.
    """
    data = data_of(frame, on, calibrate, task)
    if spec.churn is None:
        return _choose(data, spec, task)
    wanted = {*spec.churn.kinds, *(spec.value.kinds if spec.value else ())}
    parts = {
        kind: fit_on(data, spec.specs[kind], replace(task, kind=kind))
        for kind in spec.kinds
        if kind in wanted
    }
    return _joined(parts, spec, data, task, ())


def _choose(data: Data, spec: AutoSpec, task: Task) -> AutoFit:
    parts, seconds, notes = _each(data, spec, task)
    churn = tried("churn", {k: p.model.churn for k, p in parts.items()}, data.later)
    best = pick(churn, data.later.users)
    value, best_value = None, None
    if data.later_paid is not None:
        value = tried("value", _values(parts), data.later_paid)
        best_value = pick(value, data.later_paid.users)
    say(f"auto: churn by {best.mix}" + (f", value by {best_value.mix}" if best_value else ""))
    settled = replace(
        spec,
        kinds=tuple(parts),
        churn=best.mix,
        value=best_value.mix if best_value else None,
        specs={kind: part.settled for kind, part in parts.items()},
    )
    candidates = []
    for place, one in enumerate(churn):
        worth = value[place] if value else None
        alone = parts[one.mix.name] if len(one.mix.kinds) == 1 else None
        mixes = replace(settled, churn=one.mix, value=worth.mix if worth else None)
        candidates.append(
            Candidate(
                mix=one.mix,
                model=alone.model if alone else _joined(parts, mixes, data, task, ()).model,
                settled=alone.settled if alone else None,
                churn_loss=float(one.losses.mean()),
                value_loss=float(worth.losses.mean()) if worth else None,
                seconds=sum(seconds[kind] for kind in one.mix.kinds),
            )
        )
    chosen = _joined(parts, settled, data, task, tuple(notes))
    return replace(chosen, candidates=tuple(candidates))


def _each(
    data: Data, spec: AutoSpec, task: Task
) -> tuple[dict[str, Fit], dict[str, float], list[str]]:
    """Every kind alone, its seconds, and which there was no time for."""
    parts: dict[str, Fit] = {}
    seconds: dict[str, float] = {}
    begin = time.monotonic()
    for kind in spec.kinds:
        start = time.monotonic()
        if parts and start - begin > spec.minutes * 60:
            left = [k for k in spec.kinds if k not in parts]
            return parts, seconds, [_no_time(left, spec.minutes)]
        say(f"auto: {kind}")
        parts[kind] = fit_on(data, spec_of(kind, spec.seed), replace(task, kind=kind))
        seconds[kind] = time.monotonic() - start
    return parts, seconds, []


def _no_time(kinds: Sequence[str], minutes: float) -> str:
    return (
        f"not tried, since training.minutes ({minutes:g}) were over: {', '.join(kinds)}; "
        "give it more"
    )


def _joined(
    parts: Mapping[str, Fit], spec: AutoSpec, data: Data, task: Task, notes: tuple[str, ...]
) -> AutoFit:
    """One model of the parts that the spec has chosen, calibrated on the later slice."""
    assert spec.churn is not None
    churn = _estimator("churn", {k: p.model.churn for k, p in parts.items()}, spec.churn)
    value = None
    if spec.value:
        value = _estimator("value", _values(parts), spec.value)
    found = finished(churn, value, spec, data, task)
    return AutoFit(found.model, found.rows, found.settled, (*notes, *found.notes))


def _values(parts: Mapping[str, Fit]) -> dict[str, Estimator]:
    return {k: part.model.value for k, part in parts.items() if part.model.value is not None}


def _estimator(of: Target, parts: Mapping[str, Estimator], mix: Mix) -> Estimator:
    if len(mix.kinds) == 1:
        return parts[mix.kinds[0]]
    return Blend(of, mix.kinds, tuple(parts[kind] for kind in mix.kinds), mix.weights)


def tried(of: Target, parts: Mapping[str, Estimator], later: Rows) -> list[Tried]:
    """Each part alone, then all of them averaged, then stacked, on rows that none was fitted on."""
    margins = {kind: part.margin(later.x) for kind, part in parts.items()}
    found = [Tried(Mix(k, (k,)), _losses(of, margin, later)) for k, margin in margins.items()]
    if len(margins) == 1:
        return found
    kinds, held = tuple(margins), list(margins.values())
    equal = average(len(kinds))
    target = _target(of, later)
    stacked = np.empty(len(later))
    for fold in np.unique(later.fold):
        out = later.fold == fold
        weights = fit_weights(of, [m[~out] for m in held], target[~out])
        stacked[out] = joined(of, [m[out] for m in held], weights)
    weights = fit_weights(of, held, target)
    return [
        *found,
        Tried(Mix("average", kinds, equal), _losses(of, joined(of, held, equal), later)),
        Tried(Mix("stack", kinds, weights), _losses(of, stacked, later)),
    ]


def _target(of: Target, rows: Rows) -> Floats:
    if of == "churn":
        return rows.churn
    assert rows.value is not None
    spent = np.maximum(rows.value, 0.0)
    return np.asarray(spent / (spent.mean() or 1.0))


def _losses(of: Target, margin: Floats, rows: Rows) -> Floats:
    if of == "churn":
        return churn_losses(margin, rows.churn, rows.fold)
    assert rows.value is not None
    return value_losses(np.exp(margin), rows.value, rows.fold)


def pick(tried: Sequence[Tried], users: np.ndarray) -> Tried:
    """The first that no later one beats by more than TIE standard errors of the difference.

    users    of each row, shape (n,): the rows of one user are not independent
    """
    _, of = np.unique(users, return_inverse=True)
    best = tried[0]
    for one in tried[1:]:
        gain = np.bincount(of, best.losses - one.losses)
        error = float(gain.std(ddof=1)) * len(gain) ** 0.5 if len(gain) > 1 else np.inf
        if gain.sum() > TIE * error:
            best = one
    return best
