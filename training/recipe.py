"""One tracked training: split, fit, calibrate, evaluate, fit again on the latest data, register.

The metrics are those of a model that saw nothing of the test slice. The model that is kept is
fitted once more with the roles moved forward, by the same recipe with every choice (rounds,
penalty) already made, so that it knows the latest matured data; its own metrics are not known.
Vocabulary and categories are learned before the newest fit cutoff, for both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from events.store import EventStore, open_store
from features.dictionary import dictionary
from features.learn import learn_spec
from features.snapshots import Snapshots, build_snapshots, read
from features.spec import FeatureSpec
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import write_json, write_text
from runtime.progress import say
from runtime.settings import Settings
from training import level_plot, plots, tracking
from training.compare import shown
from training.evaluate import Evaluation, evaluate
from training.fitting import Fit, Spec, Task, fit, spec_of
from training.level_rows import LevelRows, level_rows
from training.lineage import code_version
from training.model import Model
from training.plan import Plan, plan_of
from training.present import NOT_ASKED, Carried, carried, uncorrected_ece
from training.review import page
from training.rows import Rows, labelled
from training.split import Slice, Split
from training.threads import one_blas_thread

EXPLAINED_ROWS = 2000
EXAMPLE_ROWS = 5
TITLES = {"xgboost": "XGBoost", "forest": "Random forest", "logistic": "Logistic regression"}


@dataclass(frozen=True)
class TrainResult:
    """`metrics`: of the evaluation, by name; `version`: of the registered model."""

    run_id: str
    model: str
    as_of: datetime
    metrics: dict[str, float]
    seconds: float
    notes: tuple[str, ...]
    version: int


@dataclass(frozen=True)
class Trained:
    """What one training found out. `model` is the one to keep, `honest` the one measured."""

    model: Model
    honest: Model
    evaluation: Evaluation
    settled: Spec
    fit_rows: int
    notes: tuple[str, ...]
    level: Carried  # how the measured model's calibration came to its present


def train(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> TrainResult:
    """Trains as of an instant (default: just after the last event). Reads nothing at or after it.

    `model`: "xgboost", "forest" or "logistic", default `training.model`. Raises UsageError for
    another one, StoreError without events, LabelError where no label has matured or one class is
    missing.
    """
    start = time.perf_counter()
    kind = model or settings.training.model
    spec = spec_of(kind, settings.training.seed)
    store = open_store(settings, as_of)
    plan = plan_of(settings, store)
    split = plan.split
    say(f"train {kind} as of {show(store.as_of)} on {device.kind} ({device.reason})")
    features = learn_spec(store, plan.learn_before, settings)
    snapshots = snapshots_of(settings, store, plan, features, device, cluster)
    seed = settings.training.seed
    task = Task(
        kind, features, snapshots.features, store.as_of, seed, device, plan.steps, plan.measured
    )
    frame = read(snapshots)
    level = level_rows(settings, store, plan, features, device, cluster)
    tags = _tags(task, store, split)
    with tracking.tracked(settings, f"{kind} {show(store.as_of)}", tags) as run:
        trained = run_recipe(frame, split, spec, task, settings.training.bootstrap, level)
        run.log(_params(settings, trained, split, snapshots, store), trained.evaluation.metrics)
        run.log_data("snapshots", snapshots.digest, str(snapshots.path.resolve()))
        with tempfile.TemporaryDirectory() as folder:
            _write_files(Path(folder), trained, task, split, frame)
            run.log_files(Path(folder))
        run.log_model(trained.model, frame.tail(EXAMPLE_ROWS))
    version = tracking.register(settings, run)
    return TrainResult(
        run_id=run.run_id,
        model=kind,
        as_of=store.as_of,
        metrics=trained.evaluation.metrics,
        seconds=time.perf_counter() - start,
        notes=trained.notes,
        version=version,
    )


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
    spec: Spec,
    task: Task,
    draws: int,
    level: LevelRows = NOT_ASKED,
) -> Trained:
    """The training itself, from a frame of labelled snapshots, without a store or tracking.

    `level`: the rows by which calibration is carried to the present.
    """
    say(f"fit on {split.fit}; calibrate on {split.calibrate}; test on {split.test}")
    honest = fit(frame, split.fit, split.calibrate, spec, task)
    test, fitted = (measured_rows(frame, of, task) for of in (split.test, split.fit))
    now = carried(honest.model, frame, level, split, False, task.seed)
    judged = now.model.until(task.measured.days) if task.measured else now.model
    evaluation = evaluate(judged, fitted, test, draws, task.seed)
    evaluation.metrics.update(uncorrected_ece(now, test))
    notes = [*split.notes, *honest.notes, now.note]
    if len(set(test.churn)) == 1:
        notes.append(f"one class only to test on ({split.test}): no ranking metric of churn")
    served = _serve(frame, split, honest, task, notes)
    later = served is not honest
    brought = carried(served.model, frame, level, split, later, task.seed) if later else now
    return Trained(
        model=brought.model,
        honest=now.model,
        evaluation=evaluation,
        settled=honest.settled,
        fit_rows=len(honest.rows),
        notes=tuple(dict.fromkeys(notes)),
        level=now,
    )


def measured_rows(frame: pl.DataFrame, of: Slice, task: Task) -> Rows:
    """A slice's rows with the labels that the evaluation is of, for the model or its floors."""
    rows = of.rows(frame, task.seed)
    if task.measured:
        rows = rows.with_columns(churn=task.measured.churn, value=task.measured.value)
    known_after = task.measured or (task.steps[-1] if task.steps else None)
    if of.until and known_after:
        rows = rows.filter(pl.col("cutoff") <= of.until - known_after.known_after)
    return labelled(rows, task.features, "measure", task.seed)


def _serve(frame: pl.DataFrame, split: Split, honest: Fit, task: Task, notes: list[str]) -> Fit:
    say(f"fit again to serve on {split.served_fit}; calibrate on {split.served_calibrate}")
    try:
        served = fit(frame, split.served_fit, split.served_calibrate, honest.settled, task)
    except LabelError as error:
        notes.append(f"the evaluated model is kept, a later one cannot be fitted: {error}")
        return honest
    notes.extend(served.notes)
    return served


def _tags(task: Task, store: EventStore, split: Split) -> dict[str, str]:
    return {
        tracking.MODEL_TAG: task.kind,
        tracking.AS_OF_TAG: show(store.as_of),
        "holdfast.delta_version": str(store.version),
        "holdfast.device": f"{task.device.kind}: {task.device.reason}",
        **{f"holdfast.{name}": value for name, value in code_version().items()},
        **({"holdfast.notes": "; ".join(split.notes)} if split.notes else {}),
    }


def _params(
    settings: Settings, trained: Trained, split: Split, snapshots: Snapshots, store: EventStore
) -> dict[str, Any]:
    churn = {f"churn_{k}": v for k, v in settings.churn.model_dump().items() if v not in (None, ())}
    return {
        "model": trained.model.kind,
        "as_of": show(store.as_of),
        "seed": settings.training.seed,
        "fit": split.fit,
        "calibrate": split.calibrate,
        "test": split.test,
        "served_fit": split.served_fit,
        "served_calibrate": split.served_calibrate,
        "fit_rows": trained.fit_rows,
        "features": len(snapshots.features),
        "data_digest": snapshots.digest,
        "delta_version": store.version,
        "feature_spec": trained.model.spec.digest,
        "calibration": trained.model.calibrator.kind,
        "served_calibration_shift": trained.model.calibrator.shift,
        **trained.level.params,
        "value_horizon_days": settings.value_horizon_days,
        **churn,
        **{f"spec_{name}": value for name, value in asdict(trained.settled).items()},
    }


def _write_files(
    folder: Path, trained: Trained, task: Task, split: Split, frame: pl.DataFrame
) -> None:
    """review.html, metrics.json and spec.json."""
    write_json(folder / "metrics.json", trained.evaluation.metrics)
    write_json(folder / "spec.json", task.spec.to_dict())
    write_text(folder / "review.html", review(trained, task, split, frame))


def review(trained: Trained, task: Task, split: Split, frame: pl.DataFrame) -> str:
    """The page of the run. Figures are of the evaluated model on the test slice."""
    test = split.test.rows(frame, task.seed)
    some = test.sample(min(EXPLAINED_ROWS, len(test)), seed=task.seed)
    words = {n: dictionary(task.spec)[n].description for n in task.features}
    return page(
        title=f"{TITLES[task.kind]} as of {show(task.as_of)}",
        lead=f"Measured on {len(trained.evaluation.churn):,} rows at {split.test}",
        rows=shown(trained.evaluation.metrics),
        figures=_figures(trained, some, words),
        notes=trained.notes,
        facts={
            "fitted on": str(split.fit),
            "calibrated on": str(split.calibrate),
            "kept model fitted on": str(split.served_fit),
            "kept model calibrated on": str(split.served_calibrate),
            "features": f"{len(task.features)}",
            "device": f"{task.device.kind} ({task.device.reason})",
            **{name.replace("_", " "): value for name, value in code_version().items()},
        },
    )


def _figures(
    trained: Trained, some: pl.DataFrame, words: Mapping[str, str]
) -> dict[str, tuple[str, Any]]:
    found = trained.evaluation
    figures = {
        "Calibration": (
            "Of the users told p, does a share p leave? On the dotted line it does.",
            plots.reliability(found.churn, found.probability),
        ),
        "Gain": (
            "How many of those who leave are met when the riskiest are looked at first.",
            plots.gains(found.churn, found.probability, found.recency_probability),
        ),
        "What moves the score": (
            f"The features that push hardest, on average over {len(some):,} users.",
            plots.importance(trained.honest.contributions(some), words),
        ),
    }
    if past := trained.level.rows:
        figures["Calibration at past cutoffs"] = (
            level_plot.told_of(past, trained.level.candidate),
            level_plot.past_reliability(past),
        )
    if found.value is not None and found.expected_value is not None:
        figures["Value by tenth"] = (
            "Users in ten equal groups by expected value, beside what they really spent.",
            plots.value_tenths(found.value, found.expected_value),
        )
    return figures
