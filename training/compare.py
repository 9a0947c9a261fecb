"""Metrics as a reviewer reads them: one run beside its floor, or several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from runtime.settings import Settings
from training.runs import RunInfo, pick
from training.tracking import list_runs

# What is shown, in this order, with its words and format.
SHOWN = {
    "churn_roc_auc": ("churn: ROC-AUC", ".3f"),
    "churn_average_precision": ("churn: average precision", ".3f"),
    "churn_log_loss": ("churn: log loss", ".4f"),
    "churn_brier": ("churn: Brier score", ".4f"),
    "churn_ece": ("churn: calibration error", ".4f"),
    "churn_ece_by_chance": ("churn: calibration error by chance alone", ".4f"),
    "churn_lift_at_1pct": ("churn: lift at 1 %", ".2f"),
    "churn_lift_at_5pct": ("churn: lift at 5 %", ".2f"),
    "churn_lift_at_10pct": ("churn: lift at 10 %", ".2f"),
    "churn_gain_at_10pct": ("churn: gain at 10 %", ".3f"),
    "churn_base_rate": ("churn: base rate", ".3f"),
    "value_mae": ("value: mean absolute error", ",.2f"),
    "value_nmae": ("value: normalised MAE", ".3f"),
    "value_median_nmae": ("value: normalised MAE of the median", ".3f"),
    "value_coverage_90": ("value: share inside the interval of 90 %", ".1%"),
    "value_normalized_gini": ("value: normalised Gini", ".3f"),
    "value_spearman": ("value: Spearman correlation", ".3f"),
    "value_bias": ("value: bias of the sum", "+.1%"),
}


@dataclass(frozen=True)
class Shown:
    """A metric in text: its words, value, interval ("" where there is none) and floor."""

    name: str
    words: str
    value: str
    between: str
    floor: str


def shown(metrics: Mapping[str, float]) -> list[Shown]:
    """The metrics of one run that are defined, in reading order."""
    return [
        Shown(
            name=name,
            words=words,
            value=format(metrics[name], form),
            between=_between(metrics, name, form),
            floor=_maybe(metrics, f"recency_{name}", form),
        )
        for name, (words, form) in SHOWN.items()
        if name in metrics
    ]


def _maybe(metrics: Mapping[str, float], name: str, form: str) -> str:
    return format(metrics[name], form) if name in metrics else ""


def _between(metrics: Mapping[str, float], name: str, form: str) -> str:
    low, high = (_maybe(metrics, f"{name}_{end}", form) for end in ("low", "high"))
    return f"{low} to {high}" if low and high else ""


@dataclass(frozen=True)
class Comparison:
    """`table`: metric, run_id, model, version, value, low, high. `notes`: why runs may differ."""

    runs: tuple[RunInfo, ...]
    table: pl.DataFrame
    notes: tuple[str, ...]


def compare(settings: Settings, names: Sequence[str]) -> Comparison:
    """The runs named (see `runs.pick`), or every registered one, newest first. ModelError."""
    known = list_runs(settings)
    registered = tuple(run for run in known if run.version is not None)
    chosen = tuple(pick(known, name) for name in names) or registered
    rows = [
        {
            "metric": name,
            "run_id": run.run_id,
            "model": run.model,
            "version": run.version,
            "value": run.metrics.get(name),
            "low": run.metrics.get(f"{name}_low"),
            "high": run.metrics.get(f"{name}_high"),
        }
        for name in SHOWN
        for run in chosen
        if name in run.metrics
    ]
    schema = {
        "metric": pl.String,
        "run_id": pl.String,
        "model": pl.String,
        "version": pl.Int64,
        **dict.fromkeys(("value", "low", "high"), pl.Float64),
    }
    return Comparison(chosen, pl.DataFrame(rows, schema=schema), _notes(chosen))


def _notes(runs: Sequence[RunInfo]) -> tuple[str, ...]:
    """A difference of metrics is one of models only where both saw the same test rows."""
    said = {
        "data_digest": "the runs were fitted on different snapshots",
        "test": "the runs were tested on different rows",
        "seed": "the runs used different seeds",
    }
    return tuple(
        f"{words}; their metrics are not of models alone"
        for key, words in said.items()
        if len({run.params.get(key) for run in runs}) > 1
    )
