"""The whole path on the synthetic world, from its raw files to the CRM file, judged by its truth.

The service is looked at as of a month before its end, so that what came after is known: each
model is compared with what really happened and with the oracle, who knows every user's hidden
state and so is the best anyone can be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from events.ingest import ingest
from events.synthetic import World, oracle, write_world
from runtime.device import Device
from runtime.errors import UsageError
from runtime.files import check_file, remove_folder, write_text
from runtime.progress import say
from runtime.settings import Settings, load_settings
from serving.export import export
from serving.score import score
from training.backtest import Judged, judge
from training.metrics import churn_metrics, value_metrics
from training.recipe import train

MODELS = ("auto", "logistic")
FIRST_ROWS = 5
CHURN = {
    "churn_roc_auc": "ROC-AUC",
    "churn_average_precision": "average precision",
    "churn_log_loss": "log loss",
    "churn_lift_at_10pct": "lift at 10 %",
    "churn_ece": "ECE",
}
VALUE = {
    "value_normalized_gini": "normalized Gini",
    "value_spearman": "Spearman",
    "value_nmae": "normalized MAE",
    "value_median_nmae": "of the median",
    "value_coverage_90": "inside 90 %",
    "value_bias": "bias of the sum",
}


@dataclass(frozen=True)
class Demo:
    """`churn` and `value`: one row a forecaster, best first; `first_rows`: of the CRM file."""

    as_of: str
    churn: list[dict[str, Any]]
    value: list[dict[str, Any]]
    users: int
    events: int
    crm_file: Path
    manifest: Path
    first_rows: list[dict[str, Any]]
    review: str


def demo(folder: Path, tracking: Path, world: World, device: Device) -> Demo:
    """Writes the world's files to `folder`, then ingest, train, score and export from there."""
    check_file(folder / "holdfast.toml", "--out")
    check_file(tracking / "mlflow.db", "--tracking")
    _clear(folder)
    say(f"1/5 a synthetic subscription service of {world.users:,} users into {folder}")
    written = write_world(world, folder)
    settings = _tracked_in(written.config, tracking)
    say("2/5 ingest")
    ingested = ingest(settings)
    at = world.end_at - timedelta(days=settings.churn.horizon_days)
    say("3/5 train")
    runs = {kind: train(settings, at, kind, device).run_id for kind in MODELS}
    say("4/5 score and export")
    score(settings, at, runs["auto"], device)
    exported = export(settings, "csv", None, at)
    say("5/5 compare with what came after and with the oracle")
    quick = _without_intervals(settings)
    judged = {kind: judge(quick, run, at, device) for kind, run in runs.items()}
    churn, value = _tables(settings, world, judged, at)
    listed = pl.read_csv(exported.files[0], n_rows=FIRST_ROWS, infer_schema=False)
    return Demo(
        as_of=at.date().isoformat(),
        churn=churn,
        value=value,
        users=exported.rows,
        events=ingested.rows_added,
        crm_file=exported.files[0],
        manifest=exported.manifest,
        first_rows=listed.to_dicts(),
        review=f"mlflow ui --backend-store-uri sqlite:///{tracking}/mlflow.db",
    )


def _clear(folder: Path) -> None:
    """A demo starts from nothing: two worlds in one store would be neither."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "truth").is_dir():
        raise UsageError(f"{folder}: is not empty and holds no earlier demo; name another --out")
    remove_folder(folder)


def _tracked_in(config: Path, tracking: Path) -> Settings:
    """The settings with their runs elsewhere, said in the file, so that every command agrees."""
    there = os.path.relpath(tracking.resolve(), config.parent.resolve())
    named = 'name = "synthetic"\n'
    text = config.read_text(encoding="utf-8")
    write_text(config, text.replace(named, f'{named}tracking = "{there}"\n', 1))
    return load_settings(config)


def _without_intervals(settings: Settings) -> Settings:
    training = settings.training.model_copy(update={"bootstrap": 0})
    return settings.model_copy(update={"training": training})


def _tables(
    settings: Settings, world: World, judged: dict[str, Judged], at: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Each forecaster's figures on the same users and what came after."""
    found = judged[MODELS[0]].evaluation
    floor = {
        name.removeprefix("recency_"): figure
        for name, figure in found.metrics.items()
        if name.startswith("recency_")
    }
    forecasters = {
        "oracle": _oracle_metrics(settings, world, judged[MODELS[0]], at),
        **{kind: one.evaluation.metrics for kind, one in judged.items()},
        "recency alone": floor,
    }
    churn, value = (
        [_row(who, metrics, names) for who, metrics in forecasters.items()]
        for names in (CHURN, VALUE)
    )
    return churn, value


def _oracle_metrics(
    settings: Settings, world: World, judged: Judged, at: datetime
) -> dict[str, float]:
    churn = settings.churn
    known = oracle(world, at, churn.gap_days, churn.horizon_days, settings.value_horizon_days)
    truth = judged.users.to_frame().join(known, on="user_id", how="left", maintain_order="left")
    found, ones = judged.evaluation, np.ones(len(truth))
    chance = churn_metrics(found.churn, truth["churn_probability"].to_numpy(), ones)
    metrics = {f"churn_{name}": float(figure) for name, figure in chance.items()}
    if found.value is not None:
        worth = value_metrics(found.value, truth["expected_value"].to_numpy(), ones)
        metrics |= {f"value_{name}": float(figure) for name, figure in worth.items()}
    return metrics


def _row(who: str, metrics: dict[str, float], names: dict[str, str]) -> dict[str, Any]:
    return {"forecaster": who, **{title: metrics.get(name) for name, title in names.items()}}
