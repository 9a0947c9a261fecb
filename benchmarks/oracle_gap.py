"""How far each model is from the oracle of the synthetic world, and fusion from its parts.

    python -m benchmarks.oracle_gap [--users N] [SEED …]

For each seed a world of its own: "auto" as of a month before the end, its candidates measured at
the test cutoff, the oracle on the same users. Differences with 95 % intervals over users (paired
bootstrap).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from events.ingest import ingest
from events.synthetic import World, oracle, write_world
from runtime.device import Device
from runtime.settings import load_settings
from training import auto
from training.auto import AutoSpec
from training.metrics import Floats, churn_metrics, value_metrics
from training.prepare import Prepared, prepared
from training.recipe import later_spec, measured_rows
from training.refit import refitted

CPU = Device("cpu", "a benchmark")
USERS = 20_000
MEASURED = "auto, fitted anew"
DRAWS = 200


@dataclass(frozen=True)
class Found:
    """Of the test rows: who, what was, and what each forecaster said."""

    users: list[str]
    churn: Floats
    value: Floats
    probability: dict[str, Floats]
    expected: dict[str, Floats]
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ready:
    """A world that is ready to train on, as of a month before its end; `known`: its oracle at the
    test cutoff, on `day`; `horizons`: days of gap, of churn and of value."""

    world: World
    prepared: Prepared
    known: pl.DataFrame
    day: int
    horizons: tuple[int, int, int]


def one_world(seed: int, users: int) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_world(World(users=users, seed=seed), Path(folder))
        return with_models(tested(ready), ready.prepared)


def ready_world(world: World, folder: Path) -> Ready:
    settings = load_settings(write_world(world, folder).config)
    ingest(settings)
    at = world.end_at - timedelta(days=settings.churn.horizon_days)
    ready = prepared(settings, at, "auto", CPU)
    churn = settings.churn
    days = (churn.gap_days, churn.horizon_days, settings.value_horizon_days)
    cutoff = ready.plan.split.test.cutoffs[0].at
    return Ready(world, ready, oracle(world, cutoff, *days), world.day_of(cutoff), days)


def tested(ready: Ready) -> Found:
    """The test rows, with the oracle's forecasts."""
    one, test = ready.prepared, ready.prepared.plan.split.test
    users = test.rows(one.frame, one.task.seed).select("user_id")
    truth = users.join(ready.known, on="user_id", how="left", maintain_order="left")
    rows = measured_rows(one.frame, test, one.task)
    assert rows.value is not None
    probability = {"oracle": truth["churn_probability"].to_numpy()}
    expected = {"oracle": truth["expected_value"].to_numpy()}
    return Found(users["user_id"].to_list(), rows.churn, rows.value, probability, expected)


def with_models(found: Found, one: Prepared) -> Found:
    """`found` with each model that "auto" tries, and with the one that it measures: what it chose,
    fitted on every label that was known at the test cutoff."""
    split, task = one.plan.split, replace(one.task, checkpoints=None)  # two fits, none taken up
    fit = auto.fit(one.frame, split.fit, split.calibrate, AutoSpec(), task)
    later = later_spec(AutoSpec(), fit.settled, split)
    assert isinstance(later, AutoSpec)
    anew = auto.fit(one.frame, split.served_fit, split.served_calibrate, later, task)
    then, now = (one.model.rows(split.test.rows(one.frame, task.seed)) for one in (fit, anew))
    last = refitted(fit.model, anew.model, (then, now))
    each = [(tried.mix.name, tried.model, tried.frame) for tried in fit.candidates]
    probability, expected = dict(found.probability), dict(found.expected)
    for name, model, frame in [*each, (MEASURED, last, anew.frame)]:
        x = measured_rows(frame, split.test, task, model.inputs).x
        value = model.expected_value(x)
        assert value is not None
        probability[name] = model.churn_probability(x)
        expected[name] = value
    chosen = (fit.settled.churn.name, fit.settled.value.name)
    return replace(found, probability=probability, expected=expected, chosen=chosen)


def auc(churn: Floats, said: Floats, weights: Floats) -> float:
    return 100 * float(churn_metrics(churn, said, weights)["roc_auc"])


def gini(value: Floats, said: Floats, weights: Floats) -> float:
    return 100 * float(value_metrics(value, said, weights)["normalized_gini"])


def difference(
    of: Callable[[Floats, Floats, Floats], float], real: Floats, first: Floats, second: Floats
) -> str:
    """first less second, with its interval."""
    ones = np.ones(len(real))
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        weights = random.multinomial(len(real), ones / len(real)).astype(np.float64)
        drawn.append(of(real, first, weights) - of(real, second, weights))
    low, high = np.quantile(drawn, [0.025, 0.975])
    point = of(real, first, ones) - of(real, second, ones)
    return f"{point:+.2f} ({low:+.2f} to {high:+.2f})"


def show(seed: int, found: Found, seconds: float) -> None:
    ones, p, v = np.ones(len(found.churn)), found.probability, found.expected
    churn = {name: auc(found.churn, said, ones) for name, said in p.items()}
    value = {name: gini(found.value, said, ones) for name, said in v.items()}
    print(f"\n### seed {seed}: {len(found.churn):,} users, {seconds:.0f} s\n")
    print("| model | AUC | below the oracle | value Gini | of the oracle's |")
    print("|---|---:|---:|---:|---:|")
    for name in p:
        marks = [t for t, c in zip(("churn", "value"), found.chosen, strict=True) if c == name]
        title = f"{name} (chosen for {', '.join(marks)})" if marks else name
        gap, share = churn["oracle"] - churn[name], value[name] / value["oracle"]
        print(f"| {title} | {churn[name]:.2f} | {gap:.2f} | {value[name]:.2f} | {share:.1%} |")
    tabular = max(("logistic", "xgboost"), key=churn.__getitem__)
    said = difference(auc, found.churn, p["sequence"], p[tabular])
    print(f"\nsequence less {tabular}: {said} points")
    part = max((tabular, "sequence"), key=churn.__getitem__)
    for fusion in dict.fromkeys(("average", "stack", found.chosen[0])):
        said = difference(auc, found.churn, p[fusion], p[part])
        print(f"{fusion} less its best part, {part}: {said} points", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("seeds", type=int, nargs="*", default=list(range(5)))
    asked = parser.parse_args()
    for seed in asked.seeds:
        start = time.monotonic()
        show(seed, one_world(seed, asked.users), time.monotonic() - start)


if __name__ == "__main__":
    main()
