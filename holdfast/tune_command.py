"""tune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    instant_of,
    settings_of,
)

if TYPE_CHECKING:
    from training.tuning import TuneResult

TRIALS = 40


@app.command()
def tune(
    config: Config = CONFIG,
    as_of: AsOf = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="xgboost, forest or logistic; default: holdfast.toml's."),
    ] = None,
    trials: Annotated[
        int,
        typer.Option("--trials", help="Of each target, those of earlier calls counted."),
    ] = TRIALS,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Begin no trial after so long.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """Search the recipe's settings (Optuna), train with the best; goes on where it was stopped."""
    from holdfast.output import print_json
    from training.search import Wanted
    from training.tuning import tune as search

    settings = settings_of(config)
    instant, on = instant_of(as_of, settings), device_of(device)
    wanted = Wanted(model, trials, minutes)
    found = search(settings, instant, wanted, on, cluster_of(cluster, on))
    print_json(_report(found)) if as_json else _print(found)


def _report(found: TuneResult) -> dict[str, Any]:
    from holdfast.output import as_dict

    told = as_dict(found)
    trained = told.pop("training")
    kept = {name: trained[name] for name in ("run_id", "version", "metrics")}
    return {**kept, **told}


def _print(found: TuneResult) -> None:
    from holdfast.output import print_fields, print_rows
    from runtime.progress import say

    rows = [
        {
            "target": target,
            "best": one.loss,
            "default": one.default_loss,
            "gain": one.gain,
            "its error": one.gain_error,
            "trial": one.trial,
            "trials": one.trials,
            "stopped early": one.stopped_early,
        }
        for target, one in found.found.items()
    ]
    print_rows(f"Tuned {found.model}: loss on the calibration slice", rows)
    for target, one in found.found.items():
        rounds = {} if one.rounds is None else {"rounds": one.rounds}
        print_fields(f"Best settings of {target}", {**one.settings, **rounds})
    told = _report(found)
    names = ("run_id", "version", "tuning_run_id", "file", "seconds")
    print_fields("Trained with them", {name: told[name] for name in names})
    for note in found.notes:
        say(f"note: {note}")
