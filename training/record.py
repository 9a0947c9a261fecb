"""What a tracked run keeps beside its model: tags, parameters, files, and those that were tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from events.store import EventStore
from features.dictionary import dictionary
from features.snapshots import Snapshots
from runtime.clock import show
from runtime.files import write_json, write_text
from runtime.settings import Settings
from training import level_plot, plots, tracking, tried_plot
from training.auto import AutoSpec
from training.compare import shown
from training.curves import CURVES, curves
from training.kinds import Spec
from training.laws import facts_of, rows_of
from training.lineage import code_version
from training.review import page
from training.split import Split
from training.task import Task
from training.trained import Trained

EXPLAINED_ROWS = 2000
LAWS = "laws.json"
TITLES = {
    "auto": "The chosen model",
    "buying": "Models of buying",
    "sequence": "Sequence model",
    "xgboost": "XGBoost",
    "forest": "Random forest",
    "logistic": "Logistic regression",
    "two-part": "XGBoost, value in two parts",
    "ziln": "XGBoost, value by a ZILN network",
    "quantile": "XGBoost, value's quantiles by XGBoost",
}


def tags_of(task: Task, store: EventStore, split: Split) -> dict[str, str]:
    return {
        tracking.MODEL_TAG: task.kind,
        tracking.AS_OF_TAG: show(store.as_of),
        "holdfast.delta_version": str(store.version),
        "holdfast.device": f"{task.device.kind}: {task.device.reason}",
        **{f"holdfast.{name}": value for name, value in code_version().items()},
        **({"holdfast.notes": "; ".join(split.notes)} if split.notes else {}),
    }


def params_of(
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
        "last_fit": split.last_fit,
        "fit_rows": trained.fit_rows,
        "features": len(snapshots.features),
        "data_digest": snapshots.digest,
        "delta_version": store.version,
        "feature_spec": trained.model.spec.digest,
        "calibration": trained.model.calibrator.kind,
        "served_calibration_shift": trained.brought.shift,
        **trained.level.params,
        "value_horizon_days": settings.value_horizon_days,
        **churn,
        **_settled(trained.settled),
    }


def _settled(spec: Spec | AutoSpec) -> dict[str, Any]:
    if isinstance(spec, AutoSpec):
        return {"chosen_churn": spec.churn, "chosen_value": spec.value, "minutes": spec.minutes}
    return {f"spec_{name}": value for name, value in asdict(spec).items()}


def log_candidates(run: tracking.OpenRun, trained: Trained, tags: Mapping[str, str]) -> None:
    """A nested run for each of those that were tried."""
    for one in trained.candidates:
        tried = one.candidate
        params = {"model": one.name, "mix": tried.mix, "kinds": ", ".join(tried.mix.kinds)}
        if tried.settled:
            params |= _settled(tried.settled)
        named = {**tags, tracking.MODEL_TAG: one.name}
        run.log_nested(
            one.name, named, params, {**one.metrics, **one.losses, "seconds": tried.seconds}
        )


def write_files(
    folder: Path, trained: Trained, task: Task, split: Split, frame: pl.DataFrame
) -> None:
    """review.html, metrics.json, curves.json, spec.json, and laws.json where there are any."""
    write_json(folder / "metrics.json", trained.evaluation.metrics)
    write_json(folder / CURVES, curves(trained.evaluation))
    write_json(folder / "spec.json", task.spec.to_dict())
    if trained.laws:
        write_json(folder / LAWS, {"laws": rows_of(trained.laws)})
    write_text(folder / "review.html", review(trained, task, split, frame))


def review(trained: Trained, task: Task, split: Split, frame: pl.DataFrame) -> str:
    """The page of the run. Figures are of the evaluated model on the test slice."""
    test = split.test.rows(frame, task.seed)
    some = test.sample(min(EXPLAINED_ROWS, len(test)), seed=task.seed)
    known = dictionary(task.spec)
    words = {n: known[n].description for n in task.features}
    return page(
        title=f"{TITLES[task.kind]} as of {show(task.as_of)}",
        lead=f"Measured on {len(trained.evaluation.churn):,} rows at {split.test}",
        rows=shown(trained.evaluation.metrics),
        figures=_figures(trained, some, words),
        notes=trained.notes,
        facts={
            "chosen by a fit on": str(split.fit),
            "calibrated on": str(split.calibrate),
            "fitted on": str(split.served_fit),
            "kept model calibrated on": str(split.served_calibrate),
            "kept model fitted on": str(split.last_fit),
            "features": f"{len(task.features)}",
            **{f"kept model's {law}": said for law, said in facts_of(trained.laws).items()},
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
    if tried_plot.panels_of(rows := trained.table):
        figures["What was tried"] = (tried_plot.told_of(rows), tried_plot.tried(rows))
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
