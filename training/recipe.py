"""One tracked training: split, fit, calibrate, evaluate, fit again on the latest data, register.

The metrics are those of a model that saw nothing of the test slice. The model that is kept is
fitted once more with the roles moved forward, by the same recipe with every choice (rounds,
penalty) already made, so that it knows the latest matured data; its own metrics are not known.
Vocabulary and categories are learned before the newest fit cutoff, for both.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from events.store import EventStore, open_store
from features.learn import learn_spec
from features.snapshots import Snapshots, build_snapshots, read
from features.spec import FeatureSpec
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import digest_of, remove_folder
from runtime.progress import say
from runtime.settings import Settings
from training import auto, tracking
from training.auto import AutoFit, AutoSpec
from training.evaluate import Evaluation, evaluate
from training.fitting import Fit, Spec, Task, fit, spec_of
from training.level_rows import LevelRows, level_rows
from training.model import Model
from training.plan import Plan, plan_of
from training.present import NOT_ASKED, carried, uncorrected_ece
from training.record import log_candidates, params_of, tags_of, write_files
from training.rows import Rows, labelled
from training.sequence_spec import SequenceSpec
from training.sequences_at import example_of, sequences_at
from training.split import Slice, Split
from training.threads import one_blas_thread
from training.trained import Measured, Trained

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class TrainResult:
    """`metrics`: of the evaluation, by name; `version`: of the registered model; `candidates`: of
    those that "auto" tried, `model`, `chosen_for`, `seconds` and the metrics by name."""

    run_id: str
    model: str
    as_of: datetime
    metrics: dict[str, float]
    seconds: float
    notes: tuple[str, ...]
    version: int
    candidates: tuple[dict[str, Any], ...] = ()


def train(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    spec: Spec | None = None,
) -> TrainResult:
    """Trains as of an instant (default: just after the last event). Reads nothing at or after it.

    `model`: "auto", "xgboost", "forest", "logistic" or "sequence", default `training.model`;
    `spec`: its settings, such as tuning has found, default its own. Raises UsageError for another
    model, StoreError without events, LabelError where no label has matured or one class is missing.
    """
    start = time.perf_counter()
    kind = model or settings.training.model
    chosen = spec or _spec(kind, settings)
    store = open_store(settings, as_of)
    plan = plan_of(settings, store)
    split = plan.split
    say(f"train {kind} as of {show(store.as_of)} on {device.kind} ({device.reason})")
    features = learn_spec(store, plan.learn_before, settings)
    snapshots = snapshots_of(settings, store, plan, features, device, cluster)
    task = _task(settings, store, plan, features, snapshots, kind, chosen, device, cluster)
    frame = read(snapshots)
    level = level_rows(settings, store, plan, features, device, cluster, task.sequences)
    tags = tags_of(task, store, split)
    with tracking.tracked(settings, f"{kind} {show(store.as_of)}", tags) as run:
        trained = run_recipe(frame, split, chosen, task, settings.training.bootstrap, level)
        run.log(params_of(settings, trained, split, snapshots, store), trained.evaluation.metrics)
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
    version = tracking.register(settings, run)
    return TrainResult(
        run_id=run.run_id,
        model=kind,
        as_of=store.as_of,
        metrics=trained.evaluation.metrics,
        seconds=time.perf_counter() - start,
        notes=trained.notes,
        version=version,
        candidates=trained.table,
    )


def _spec(kind: str, settings: Settings) -> Spec | AutoSpec:
    chosen = settings.training
    if kind == "auto":
        return AutoSpec(chosen.minutes, chosen.seed)
    return spec_of(kind, chosen.seed)


def _task(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    features: FeatureSpec,
    snapshots: Snapshots,
    kind: str,
    spec: Spec | AutoSpec,
    device: Device,
    cluster: Cluster,
) -> Task:
    """With the sequences of everyone where one of the models reads them."""
    sequences = None
    if (length := _length(spec)) and not plan.steps:
        at = plan.split.cutoffs
        sequences = sequences_at(settings, store, at, features, length, device, cluster)
    named = digest_of([snapshots.digest, kind, asdict(spec), str(plan.split)])
    return Task(
        kind=kind,
        spec=features,
        features=snapshots.features,
        as_of=store.as_of,
        seed=settings.training.seed,
        device=device,
        steps=plan.steps,
        measured=plan.measured,
        sequences=sequences,
        checkpoints=settings.store / ".training" / named,
    )


def _length(spec: Spec | AutoSpec) -> int | None:
    """Of the sequences that are read; None where none are."""
    if isinstance(spec, AutoSpec):
        return SequenceSpec().length if "sequence" in spec.kinds else None
    return spec.length if isinstance(spec, SequenceSpec) else None


def snapshots_of(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> Snapshots:
    """The labelled snapshots that a training reads."""
    days = tuple(step.days for step in plan.steps)
    return build_snapshots(settings, store, plan.split.cutoffs, spec, device, True, cluster, days)


@one_blas_thread()
def run_recipe(
    frame: pl.DataFrame,
    split: Split,
    spec: Spec | AutoSpec,
    task: Task,
    draws: int,
    level: LevelRows = NOT_ASKED,
) -> Trained:
    """The training itself, from a frame of labelled snapshots, without a store or tracking.

    `level`: the rows by which calibration is carried to the present.
    """
    say(f"fit on {split.fit}; calibrate on {split.calibrate}; test on {split.test}")
    honest = _fit(frame, split.fit, split.calibrate, spec, _apart(task, "evaluated"))
    fitted = measured_rows(frame, split.fit, task)

    def judge(model: Model, frame: pl.DataFrame) -> Evaluation:
        until = model.until(task.measured.days) if task.measured else model
        test = measured_rows(frame, split.test, task, model.inputs)
        return evaluate(until, fitted, test, draws, task.seed)

    now = carried(honest.model, honest.frame, level, split, False, task.seed)
    evaluation = judge(now.model, honest.frame)
    test = measured_rows(honest.frame, split.test, task, honest.model.inputs)
    evaluation.metrics.update(uncorrected_ece(now, test))
    candidates = honest.candidates if isinstance(honest, AutoFit) else ()
    notes = [*split.notes, *honest.notes, now.note]
    if len(set(evaluation.churn)) == 1:
        notes.append(f"one class only to test on ({split.test}): no ranking metric of churn")
    served = _serve(frame, split, honest, task, notes)
    later = served is not honest
    brought = carried(served.model, served.frame, level, split, later, task.seed) if later else now
    return Trained(
        model=brought.model,
        honest=now.model,
        evaluation=evaluation,
        settled=honest.settled,
        fit_rows=len(honest.rows),
        notes=tuple(dict.fromkeys(notes)),
        candidates=tuple(Measured(one, judge(one.model, one.frame).metrics) for one in candidates),
        level=now,
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


def _serve(frame: pl.DataFrame, split: Split, honest: Fit, task: Task, notes: list[str]) -> Fit:
    say(f"fit again to serve on {split.served_fit}; calibrate on {split.served_calibrate}")
    try:
        served = _fit(
            frame, split.served_fit, split.served_calibrate, honest.settled, _apart(task, "served")
        )
    except LabelError as error:
        notes.append(f"the evaluated model is kept, a later one cannot be fitted: {error}")
        return honest
    notes.extend(served.notes)
    return served
