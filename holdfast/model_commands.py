"""train, backtest, runs, compare, promote, score, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.app import (
    CONFIG,
    AsOf,
    Config,
    DeviceName,
    Json,
    OnCluster,
    OnDevice,
    app,
    cluster_of,
    device_of,
    folder_of,
    instant_of,
    settings_of,
)

MAIN_METRICS = (
    "churn_roc_auc",
    "churn_average_precision",
    "churn_log_loss",
    "churn_brier",
    "churn_ece",
    "churn_ece_by_chance",
    "churn_lift_at_10pct",
    "value_normalized_gini",
    "value_nmae",
    "value_bias",
    "recency_churn_roc_auc",
    "recency_value_normalized_gini",
)
SHORT_METRICS = {
    "churn_roc_auc": "AUC",
    "recency_churn_roc_auc": "recency's",
    "churn_brier": "Brier",
    "churn_ece": "ECE",
    "value_normalized_gini": "value Gini",
    "recency_value_normalized_gini": "recency's value Gini",
    "value_bias": "value bias",
}


@app.command()
def train(
    config: Config = CONFIG,
    as_of: AsOf = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="auto, xgboost, forest, logistic, sequence, buying, or of value (churn by "
            "xgboost) two-part, ziln, quantile; default: holdfast.toml's.",
        ),
    ] = None,
    tuned: Annotated[
        Path | None, typer.Option("--spec", help="Settings that 'holdfast tune' has found.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """One tracked run: split, fit, calibrate, evaluate, register."""
    from holdfast.output import as_dict, print_fields, print_json, print_rows
    from training.recipe import train as fit
    from training.spaces import tuned_spec
    from training.together import asked, train_together

    settings = settings_of(config)
    kind, spec = tuned_spec(tuned, model, settings.training.seed) if tuned else (model, None)
    instant, on = instant_of(as_of, settings), device_of(device)
    given = (settings, instant, kind, on, cluster_of(cluster, on), spec)
    found = train_together(*given) if asked() else fit(*given)
    if found is None:  # not the first of several processes
        return
    result = as_dict(found)
    if as_json:
        print_json(result)
        return
    metrics, candidates, laws = (result.pop(n) for n in ("metrics", "candidates", "laws"))
    print_fields("Trained", result)
    if candidates:
        print_rows(
            "As tried, before the fit on the newest labels", [_tried(one) for one in candidates]
        )
    if laws:
        print_rows("Laws of the kept model, with 95 % intervals", laws)
    print_rows("Metrics, with 95 % intervals over users", _with_intervals(metrics))


def _tried(one: dict[str, Any]) -> dict[str, object]:
    figures = {title: one.get(name) for name, title in SHORT_METRICS.items()}
    chosen = ", ".join(one["chosen_for"])
    return {"model": one["model"], "chosen for": chosen, **figures, "seconds": one["seconds"]}


def _with_intervals(metrics: dict[str, float]) -> list[dict[str, object]]:
    return [
        {
            "metric": name,
            "value": metrics[name],
            "low": metrics.get(f"{name}_low"),
            "high": metrics.get(f"{name}_high"),
        }
        for name in MAIN_METRICS
        if name in metrics
    ]


@app.command()
def backtest(
    as_of: Annotated[
        list[str], typer.Option("--as-of", help="Train as of here, judge by what came after.")
    ],
    config: Config = CONFIG,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Repeat it for several models.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """The recipe rolled over past instants, judged by what really came after each."""
    from holdfast.output import print_json, print_rows
    from runtime.clock import parse_instant
    from training.backtest import backtest as roll

    settings = settings_of(config)
    instants = [parse_instant(text, settings.project.timezone) for text in as_of]
    rows = roll(settings, instants, model or [settings.training.model], device_of(device))
    if as_json:
        print_json({"rows": rows})
        return
    print_rows("Backtest", [_in_short(row) for row in rows])


def _in_short(row: dict[str, object]) -> dict[str, object]:
    heads = {"as_of": "as of", "model": "model", "users": "users", **SHORT_METRICS}
    return {title: row.get(name) for name, title in heads.items()}


@app.command()
def runs(config: Config = CONFIG, as_json: Json = False) -> None:
    """The trained runs, newest first, with their main figures."""
    from holdfast.output import as_dict, print_json, print_rows
    from training.tracking import list_runs

    found = list_runs(settings_of(config))
    if as_json:
        print_json({"runs": [as_dict(run) for run in found]})
        return
    print_rows("Runs", [_run_in_short(as_dict(run)) for run in found])


def _run_in_short(run: dict[str, Any]) -> dict[str, object]:
    heads = {name: run[name] for name in ("run_id", "model", "version", "aliases", "as_of")}
    figures = {title: run["metrics"].get(name) for name, title in SHORT_METRICS.items()}
    return {**heads, **figures, "status": run["status"].lower()}


@app.command()
def compare(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Run ids, versions, aliases or model names; default: all."),
    ] = None,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Metrics of several runs side by side, with their intervals."""
    from holdfast.output import print_json, print_rows
    from runtime.progress import say
    from training.compare import compare as side_by_side

    found = side_by_side(settings_of(config), run or [])
    rows = found.table.to_dicts()
    if as_json:
        print_json({"metrics": rows, "notes": found.notes})
        return
    print_rows("Comparison", rows)
    for note in found.notes:
        say(f"note: {note}")


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="A run id, version, alias or model name.")],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Make a run's model the champion."""
    from holdfast.output import as_dict, print_fields, print_json
    from training.tracking import promote as make_champion

    made = as_dict(make_champion(settings_of(config), run))
    result = {name: made[name] for name in ("run_id", "model", "version", "aliases", "as_of")}
    print_json(result) if as_json else print_fields("Promoted", result)


@app.command()
def score(
    config: Config = CONFIG,
    as_of: AsOf = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model's name or a run; default: champion.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    despite_tracking: Annotated[
        bool, typer.Option("--despite-tracking", help="Score though the gate would stop it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Churn, value and reasons for every eligible user."""
    from holdfast.output import as_dict, print_fields, print_json
    from serving.score import score as score_users

    settings = settings_of(config)
    instant, on = instant_of(as_of, settings), device_of(device)
    where = cluster_of(cluster, on)
    done = score_users(settings, instant, model, on, where, despite_tracking=despite_tracking)
    gate = done.tracking
    result = as_dict(done) | {"tracking": gate.to_json() if as_json else gate.state}
    print_json(result) if as_json else print_fields("Scored", result)


@app.command()
def export(
    config: Config = CONFIG,
    to: Annotated[str, typer.Option("--format", help="The format the CRM takes.")] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=folder_of,
            metavar="<path>",
            help="Folder; default: holdfast.toml's exports.",
        ),
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """What the CRM takes: a file and its manifest."""
    from holdfast.output import as_dict, print_fields, print_json
    from serving.export import export as write_files

    settings = settings_of(config)
    result = as_dict(write_files(settings, to, out, instant_of(as_of, settings)))
    print_json(result) if as_json else print_fields("Exported", result)
