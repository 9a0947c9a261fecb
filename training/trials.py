"""One trial: fitted on the fit slice as a training is, judged on the calibration slice.

Workers read the rows from the snapshots by themselves, and write a file with a few figures for
each fit. Nothing of the test slice is used; unless the split is by users it is not even read.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.snapshots import Snapshots, read
from runtime.cluster import Started
from runtime.files import digest_of
from runtime.task import Task as Mapped
from training.fitting import FITTERS, relative_value, rows_of, value_fitted
from training.kinds import PlainSpec, plain_spec
from training.metrics import Floats
from training.rows import Rows, both_classes
from training.spaces import Params, Target, params_of, rounds_of, spec_with
from training.split import Slice, user_share
from training.task import Task
from training.threads import one_blas_thread
from training.validation import churn_losses, value_losses

SHARES = (0.1, 0.3)  # of the users: a trial that does badly on few is not tried on all
LEAST_ROWS = 1000  # to learn from; with fewer the loss says too little of a setting
ALL = 1.0


@dataclass(frozen=True, eq=False)
class Bench:
    """What is the same for every trial. `digest`: names all that a figure depends on but for the
    trial's settings."""

    snapshots: Snapshots
    fit: Slice
    calibrate: Slice
    task: Task
    digest: str


@dataclass(frozen=True)
class Asked:
    """A fit that is wanted. `params`: None for the kind's default spec."""

    target: Target
    params: Params | None
    share: float = ALL

    @property
    def key(self) -> str:
        return f"{self.target}-{digest_of([self.params, self.share])}"


@dataclass(frozen=True)
class Outcome:
    """`loss`: the mean over the calibration rows; `params`, `rounds`: what the fit settled on;
    `rows`: those fitted on."""

    loss: float
    params: dict[str, float]
    rounds: int | None
    rows: int
    seconds: float


@dataclass(frozen=True)
class Judged:
    """`losses` of the calibration rows, (n,), and their users, (n,)."""

    losses: Floats
    users: Any
    settled: PlainSpec
    rows: int


@dataclass(frozen=True)
class Held:
    """For each target the rows to fit on and those to judge by; a target that has nothing to
    learn is not there."""

    digest: str
    rows: Mapping[Target, tuple[Rows, Rows]]


_held: list[Held] = []  # of the search that this process works for
_LOCK = threading.Lock()


def held(bench: Bench) -> Held:
    """Raises LabelError where a slice is empty or the fit slice has one class only."""
    with _LOCK:
        if not _held or _held[0].digest != bench.digest:
            _held[:] = [_read(bench)]
        return _held[0]


def let_go() -> None:
    """The rows are not needed any more."""
    with _LOCK:
        _held.clear()


def _read(bench: Bench) -> Held:
    cutoffs = tuple({*bench.fit.cutoffs, *bench.calibrate.cutoffs})
    frame = read(bench.snapshots, cutoffs)
    rows, paid = rows_of(frame, bench.fit, "fit", bench.task)
    later, later_paid = rows_of(frame, bench.calibrate, "calibrate", bench.task)
    both_classes(rows, "fit", bench.task.of_ends)
    found: dict[Target, tuple[Rows, Rows]] = {"churn": (rows, later)}
    if paid is not None and later_paid is not None and later_paid.value is not None:
        found |= {"value": (paid, later_paid)} if _varies(paid, "value") else {}
    return Held(bench.digest, found)


def shares(bench: Bench, target: Target) -> tuple[float, ...]:
    """The growing shares of the users that a trial is fitted on, all of them last."""
    rows, _ = held(bench).rows[target]
    found = []
    for share in SHARES:
        fewer = _fewer(rows, share, bench.task.seed)
        learnable = len(fewer) >= LEAST_ROWS and _varies(fewer, target)
        found += [share] if learnable else []
    return (*found, ALL)


def _varies(rows: Rows, target: Target) -> bool:
    label = rows.churn if target == "churn" else relative_value(rows)
    return label is not None and bool(label.min() < label.max())


def _fewer(rows: Rows, share: float, seed: int) -> Rows:
    if share >= ALL:
        return rows
    users = pl.DataFrame({"user_id": pl.Series(rows.users.tolist(), dtype=pl.String)})
    keep = users.select(user_share(seed, "tuning") < share).to_series().to_numpy()
    return rows.where(keep)


@one_blas_thread()
def judge(bench: Bench, asked: Asked) -> Judged:
    """Fits, and measures on the calibration slice: see `training.validation`."""
    task = bench.task
    whole, later = held(bench).rows[asked.target]
    rows = _fewer(whole, asked.share, task.seed)
    spec = (
        plain_spec(task.kind, task.seed)
        if asked.params is None
        else spec_with(task.kind, asked.target, asked.params, task.seed)
    )
    if asked.target == "churn":
        model, settled = FITTERS[type(spec)][0](spec, rows, task.device)
        losses = churn_losses(model.margin(later.x), later.churn, later.fold)
    else:
        model, settled = value_fitted(spec, rows, task.device)
        assert model is not None  # else value is no target
        assert later.value is not None
        losses = value_losses(np.exp(model.margin(later.x)), later.value, later.fold)
    return Judged(losses, later.users, settled, len(rows))


def outcome(bench: Bench, asked: Asked) -> Outcome:
    start = time.perf_counter()
    found = judge(bench, asked)
    return Outcome(
        loss=float(found.losses.mean()),
        params=params_of(found.settled, asked.target),
        rounds=rounds_of(found.settled, asked.target),
        rows=found.rows,
        seconds=time.perf_counter() - start,
    )


def outcomes(
    bench: Bench, wanted: Sequence[Asked], staging: Path, started: Started
) -> list[Outcome]:
    """Of each fit, from its file where it was done before. Raises BucketError, ClusterError."""
    by_key = {asked.key: asked for asked in wanted}
    work = Mapped(partial(_write, bench, by_key), staging, ".json", "tune", "trial")
    if todo := [key for key in by_key if not work.path(key).exists()]:
        started.carry_out(work, todo, lambda: None)
    texts = (work.path(asked.key).read_text(encoding="utf-8") for asked in wanted)
    return [Outcome(**json.loads(text)) for text in texts]


def _write(bench: Bench, by_key: Mapping[str, Asked], key: str, path: Path) -> None:
    path.write_text(json.dumps(asdict(outcome(bench, by_key[key]))), encoding="utf-8")


def forget(wanted: Sequence[Asked], staging: Path) -> None:
    """Removes the files of fits whose figures are kept elsewhere."""
    for asked in wanted:
        (staging / f"{asked.key}.json").unlink(missing_ok=True)


def gain(bench: Bench, target: Target, params: Params) -> tuple[float, float]:
    """What settings gain on the default's loss, and the standard error of that over users."""
    default, found = (judge(bench, Asked(target, p)) for p in (None, params))
    _, place = np.unique(found.users, return_inverse=True)
    by_user = np.bincount(place, default.losses - found.losses)
    mean = float(by_user.sum() / len(found.losses))
    centred = by_user - mean * np.bincount(place)
    return mean, float(np.sqrt((centred**2).sum()) / len(found.losses))
