"""One tracked training: split, fit, calibrate, evaluate, fit again on the latest data, register.

The kinds are chosen, and calibrated, by a fit and a later slice. With that settled, the estimators
are fitted once more on every label that was known at the test cutoff (training.refit), where these
are many more with sizes and penalties searched again: the metrics are those of this model, which
saw nothing of the test slice. The one that is kept comes from the same recipe with the roles moved
forward, and its estimators from every label that is known; its own metrics are not known.
Vocabulary and categories are learned before the newest cutoff of the first fit, for all.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import remove_folder
from runtime.progress import say
from runtime.settings import Settings
from training import auto, tracking
from training.auto import AutoFit, AutoSpec
from training.churn_interval import drift_notes
from training.evaluate import Evaluation, evaluate
from training.fitting import Fit, fit
from training.kinds import Spec
from training.laws import law_notes, metrics_of, rows_of
from training.level_rows import LevelRows, level_rows
from training.model import Model
from training.prepare import Prepared, prepared
from training.present import NOT_ASKED, Carried, carried, carried_notes, newest_rows
from training.record import log_candidates, params_of, tags_of, write_files
from training.refit import refitted
from training.rows import Matrix, Rows, labelled
from training.sequence_spec import SequenceSpec
from training.sequences_at import example_of
from training.split import Slice, Split
from training.task import Task
from training.telling import notes_of_test
from training.threads import one_blas_thread
from training.trained import Measured, Trained

EXAMPLE_ROWS = 5
GROWN = 1.25  # times as many rows ask for other sizes and penalties


@dataclass(frozen=True)
class TrainResult:
    """`metrics`: of the evaluation, by name; `version`: of the registered model; `candidates`: of
    those that "auto" tried, `model`, `chosen_for`, `seconds` and the metrics by name; `laws`: what
    the kept model's models of buying have learned, `of`, `law`, `parameter`, `value`, `low`,
    `high`, `unit`."""

    run_id: str
    model: str
    as_of: datetime
    metrics: dict[str, float]
    seconds: float
    notes: tuple[str, ...]
    version: int
    candidates: tuple[dict[str, Any], ...] = ()
    laws: tuple[dict[str, Any], ...] = ()


def train(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    spec: Spec | None = None,
    aliased: bool = True,
) -> TrainResult:
    """Trains as of an instant (default: just after the last event). Reads nothing at or after it.

    `model`: "auto" or one of `training.kinds.spec_of`'s, default `training.model`;
    `spec`: its settings, such as tuning has found, default its own. `aliased`: whether it may
    become champion or challenger. Raises UsageError for another
    model, StoreError without events, LabelError where no label has matured or one class is missing.
    """
    start = time.perf_counter()
    found = ready_to_train(settings, as_of, model, device, cluster, spec)
    return recorded(settings, *found, start, aliased)


def ready_to_train(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    spec: Spec | None = None,
) -> tuple[Prepared, LevelRows]:
    """All that `run_recipe` asks for: snapshots and sequences are written, or found."""
    ready = prepared(settings, as_of, model, device, cluster, spec)
    task = ready.task
    return ready, level_rows(
        settings, ready.store, ready.plan, task.spec, device, cluster, task.sequences
    )


def recorded(
    settings: Settings, ready: Prepared, level: LevelRows, start: float, aliased: bool = True
) -> TrainResult:
    """Trained, tracked and registered. `start`: of `time.perf_counter`."""
    store, split, task, frame = ready.store, ready.plan.split, ready.task, ready.frame
    snapshots, kind = ready.snapshots, task.kind
    tags = tags_of(task, store, split)
    with tracking.tracked(settings, f"{kind} {show(store.as_of)}", tags) as run:
        trained = run_recipe(
            frame, split, ready.spec, task, settings.training.bootstrap, level, ready.newest
        )
        metrics = trained.evaluation.metrics | metrics_of(trained.laws)
        run.log(params_of(settings, trained, split, snapshots, store), metrics)
        run.log_data("snapshots", snapshots.digest, str(snapshots.path.resolve()))
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), trained, task, split, frame)
            run.log_files(Path(folder))
        log_candidates(run, trained, tags)
        run.log_model(
            trained.model, example_of(frame.tail(EXAMPLE_ROWS), trained.model, task.sequences)
        )
    if task.checkpoints:
        remove_folder(task.checkpoints)
    version = tracking.register(settings, run, aliased)
    return TrainResult(
        run_id=run.run_id,
        model=kind,
        as_of=store.as_of,
        metrics=trained.evaluation.metrics,
        seconds=time.perf_counter() - start,
        notes=trained.notes,
        version=version,
        candidates=trained.table,
        laws=rows_of(trained.laws),
    )


@one_blas_thread()
def run_recipe(
    frame: pl.DataFrame,
    split: Split,
    spec: Spec | AutoSpec,
    task: Task,
    draws: int,
    level: LevelRows = NOT_ASKED,
    newest: pl.DataFrame | None = None,
) -> Trained:
    """The training itself, from a frame of labelled snapshots, without a store or tracking.

    `level`: the rows by which calibration is carried to the present; `newest`: the frame with
    every label as it is known now, for the last fit, where that is not `frame`."""
    say(f"fit on {split.fit}; calibrate on {split.calibrate}; test on {split.test}")
    for of in (split.test, split.served_fit):
        measured_rows(frame, of, task)  # raises before hours of fits, not after them
    tried = _fit(frame, split.fit, split.calibrate, spec, _apart(task, "tried"))
    now = carried(tried.model, tried.frame, level, split, False, task.seed)
    candidates = tried.candidates if isinstance(tried, AutoFit) else ()
    notes = [*split.notes, *tried.notes, now.note]
    later = later_spec(spec, tried.settled, split)
    served = _serve(frame, split, later, task, notes)
    fitted = measured_rows(frame, split.served_fit if served else split.fit, task)

    def judge(model: Model, frame: pl.DataFrame, draws: int = draws) -> Evaluation:
        until = model.until(task.measured.days) if task.measured else model
        test = measured_rows(frame, split.test, task, model.inputs)
        return evaluate(until, fitted, test, draws, task.seed)

    def anew(model: Model) -> Model:
        if served is None:
            return model
        then, rows = (split.test.rows(one.frame, task.seed) for one in (tried, served))
        return refitted(model, served.model, (model.rows(then), served.model.rows(rows)))

    honest, rows = anew(now.model), (served or tried).frame
    evaluation = judge(honest, rows)
    if now.interval is not None:
        plain = judge(anew(now.plain), rows, 0).metrics
        evaluation.metrics["churn_ece_uncorrected"] = plain["churn_ece"]
        notes += carried_notes(evaluation.metrics["churn_log_loss"], plain["churn_log_loss"])
    notes += notes_of_test(evaluation, measured_rows(frame, split.test, task), task.spec)
    kept, brought = now.model, now
    if served is not None:
        newest = frame if newest is None else newest
        kept, brought = _kept(newest, split, later, served, level, task, notes)
        notes.append(f"the model that serves: {brought.note}")
    return Trained(
        model=kept,
        honest=honest,
        evaluation=evaluation,
        settled=tried.settled,
        fit_rows=len((served or tried).rows),
        notes=tuple(dict.fromkeys([*notes, *drift_notes(kept.churn_interval), *law_notes(kept)])),
        candidates=tuple(
            Measured(one, judge(one.model, one.frame, draws // 2).metrics) for one in candidates
        ),
        level=now,
        brought=brought,
    )


def _apart(task: Task, role: str) -> Task:
    return replace(task, checkpoints=task.checkpoints and task.checkpoints / role)


def _fit(
    frame: pl.DataFrame, on: Slice, calibrate: Slice, spec: Spec | AutoSpec, task: Task
) -> Fit:
    if isinstance(spec, AutoSpec):
        return auto.fit(frame, on, calibrate, spec, task)
    return fit(frame, on, calibrate, spec, task)


def measured_rows(
    frame: pl.DataFrame, of: Slice, task: Task, inputs: tuple[str, ...] | None = None
) -> Rows:
    """A slice's rows with the labels that the evaluation is of, for a model's inputs or, by the
    features alone, its floors."""
    rows = of.rows(frame, task.seed)
    if task.measured:
        rows = rows.with_columns(churn=task.measured.churn, value=task.measured.value)
    known_after = task.measured or (task.steps[-1] if task.steps else None)
    if of.until and known_after:
        rows = rows.filter(pl.col("cutoff") <= of.until - known_after.known_after)
    return labelled(rows, inputs or task.features, "measure", task.seed)


def later_spec(spec: Spec | AutoSpec, settled: Spec | AutoSpec, split: Split) -> Spec | AutoSpec:
    """The spec of the fits after the first: as it was settled there, or, where they have many more
    rows, with sizes and penalties to be searched again. A sequence model keeps its steps."""
    if _share(split.last_fit) < GROWN * _share(split.fit) or isinstance(settled, SequenceSpec):
        return settled
    return auto.searched_anew(settled) if isinstance(settled, AutoSpec) else spec


def _share(of: Slice) -> float:
    """How many rows it has, in those of one cutoff."""
    return len(of.cutoffs) * (of.high - of.low)


def _serve(
    frame: pl.DataFrame, split: Split, spec: Spec | AutoSpec, task: Task, notes: list[str]
) -> Fit | None:
    """Fitted on what is known at the test cutoff, calibrated on the test slice."""
    say(f"fit again on {split.served_fit}; calibrate to serve on {split.served_calibrate}")
    try:
        served = _fit(frame, split.served_fit, split.served_calibrate, spec, _apart(task, "served"))
    except LabelError as error:
        notes.append(f"the evaluated model is kept, a later one cannot be fitted: {error}")
        return None
    notes.extend(served.notes)
    return served


def _kept(
    frame: pl.DataFrame,
    split: Split,
    spec: Spec | AutoSpec,
    served: Fit,
    level: LevelRows,
    task: Task,
    notes: list[str],
) -> tuple[Model, Carried]:
    """`served` as carried to the present, its estimators fitted on all that is known; and how it
    was carried."""
    brought = carried(served.model, served.frame, level, split, True, task.seed)
    say(f"fit at last on {split.last_fit}")
    try:
        last = _fit(frame, split.last_fit, split.served_calibrate, spec, _apart(task, "last"))
    except LabelError as error:
        notes.append(f"the model that serves has not learned from the newest labels: {error}")
        return brought.model, brought

    def at_present(one: Fit) -> Matrix:
        return newest_rows(one.model, one.frame, level, split, task.seed)

    def at_the_test(one: Fit) -> Matrix:
        return one.model.rows(split.test.rows(one.frame, task.seed))

    unseen = at_present(served), at_present(last)
    # Where nothing is carried the level is that of the test slice's labels.
    seen = (at_the_test(served), at_the_test(last)) if level.why else None
    return refitted(brought.model, last.model, unseen, seen), brought
