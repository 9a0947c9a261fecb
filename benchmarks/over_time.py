"""Calibration at the test cutoff, left alone and carried to it, as `holdfast train` does it.

    python -m benchmarks.over_time [--model logistic|xgboost|forest] [NAME …]

NAME: an example, `synthetic[:SEED]`, or `shop:KIND[:SEED]` of `benchmarks.shop_world`; with `@DAY`
as of that day (YYYY-MM-DD).

For each example: users at the test cutoff, the share of churn at the calibration and at the test
cutoff, the calibration error (ECE) and log loss without and with what is carried, the error of the
best shift there is (known only afterwards) and that of a right model by chance alone, what was
carried, what the season of a year ago added to it, the bias of value by the newest slice's level
alone, without and with what is carried, and the seconds that the rows and the carrying took.
Nothing is carried by what was not known at the test cutoff.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.examples import ROOT, configured, holdfast
from benchmarks.shop_world import write_shop
from events.store import open_store
from features.learn import learn_spec
from features.snapshots import read
from runtime.device import Device
from runtime.settings import load_settings
from training.calibration import Calibrator
from training.fitting import fit, rows_of
from training.kinds import spec_of
from training.level_rows import LevelRows, level_rows
from training.metrics import Floats, calibration_error, log_loss, value_metrics
from training.model import Model
from training.plan import Plan, plan_of
from training.prepare import snapshots_of
from training.present import carried
from training.recipe import measured_rows
from training.task import Task
from training.threads import one_blas_thread

CPU = Device("cpu", "a benchmark")
SHIFTS = np.linspace(-1.5, 1.5, 121)
DRAWS = 200
USERS = 5000  # of a world that is made up


@dataclass(frozen=True)
class Case:
    """What a training has at hand before it fits."""

    frame: pl.DataFrame
    level: LevelRows
    plan: Plan
    task: Task
    seconds: float  # that the rows of the level took


def case_of(config: Path, model: str, as_of: datetime | None = None) -> Case:
    """Ingests, and computes the snapshots. Raises RuntimeError with what a command said."""
    holdfast(config, "ingest")
    settings = load_settings(config)
    store = open_store(settings, as_of)
    plan = plan_of(settings, store)
    spec = learn_spec(store, plan.learn_before, settings)
    taken = snapshots_of(settings, store, plan, spec, CPU)
    seed = settings.training.seed
    task = Task(model, spec, taken.features, store.as_of, seed, CPU, plan.steps, plan.measured)
    start = time.perf_counter()
    level = level_rows(settings, store, plan, spec, CPU)
    return Case(read(taken), level, plan, task, time.perf_counter() - start)


@one_blas_thread()
def figures_of(case: Case) -> dict[str, Any]:
    """The columns of the table."""
    split, task, frame = case.plan.split, case.task, case.frame
    fitted = fit(frame, split.fit, split.calibrate, spec_of(task.kind, task.seed), task)
    start = time.perf_counter()
    found = carried(fitted.model, frame, case.level, split, False, task.seed)
    seconds = time.perf_counter() - start
    test = measured_rows(frame, split.test, task)
    later = measured_rows(frame, split.calibrate, task)

    def churn(calibrator: Calibrator) -> Floats:
        return replace(fitted.model, calibrator=calibrator).churn_probability(test.x)

    def bias(model: Model) -> float:
        mean = model.expected_value(test.x)
        if mean is None or test.value is None:
            return float("nan")
        return float(value_metrics(test.value, mean, np.ones(len(test)))["bias"])

    plain, moved = fitted.model.calibrator, found.model.calibrator
    best = min(
        (replace(plain, shift=float(shift)) for shift in SHIFTS),
        key=lambda calibrator: _loss(test.churn, churn(calibrator)),
    )
    without, with_ = churn(plain), churn(moved)
    return {
        "users": len(test),
        "rate then": float(later.churn.mean()),
        "rate now": float(test.churn.mean()),
        "ECE without": _ece(test.churn, without),
        "with": _ece(test.churn, with_),
        "best shift's": _ece(test.churn, churn(best)),
        "by chance": _floor(churn(best)),
        "loss without": _loss(test.churn, without),
        "loss with": _loss(test.churn, with_),
        "told without": float(without.mean()),
        "told with": float(with_.mean()),
        "carried by": found.candidate,
        "stretch": moved.stretch,
        "shift": found.shift,
        "season's pace": found.season.pace,
        "years alike": found.season.alike,
        "by the newest alone": bias(_newest(fitted.model, case)),
        "value bias": bias(fitted.model),
        "bias with": bias(found.model),
        "tried at": len(found.rows),
        "cutoffs": case.level.frame["cutoff"].n_unique() if len(case.level.frame) else 0,
        "s rows": case.seconds,
        "s": seconds,
    }


def _newest(model: Model, case: Case) -> Model:
    """With the level of value that makes the sum over the calibration slice right."""
    later = rows_of(case.frame, case.plan.split.calibrate, "calibrate", case.task)[1]
    if model.value is None or later is None or later.value is None:
        return model
    return replace(model, value_scale=later.value.sum() / np.exp(model.value.margin(later.x)).sum())


def _ece(churn: Floats, p: Floats) -> float:
    return float(calibration_error(churn, p, np.ones(len(p))))


def _loss(churn: Floats, p: Floats) -> float:
    return float(log_loss(churn, p, np.ones(len(p))))


def _floor(p: Floats) -> float:
    """The mean ECE of a model that is right, by chance alone."""
    random = np.random.default_rng(0)
    draws = [_ece((random.random(len(p)) < p).astype(float), p) for _ in range(DRAWS)]
    return float(np.mean(draws))


def _config(name: str, folder: Path) -> Path:
    if name.startswith("shop:"):
        kind, _, seed = name.removeprefix("shop:").partition(":")
        return write_shop(folder, kind, int(seed or 0), USERS)
    if not name.startswith("synthetic"):
        return configured(name, folder)
    from events.synthetic import World, write_world

    return write_world(World(users=USERS, seed=int(name.partition(":")[2] or 0)), folder).config


def main(arguments: list[str]) -> None:
    model = "xgboost"
    if arguments[:1] == ["--model"]:
        model, arguments = arguments[1], arguments[2:]
    names = arguments or sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))
    for place, name in enumerate(names):
        world, _, day = name.partition("@")
        as_of = datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None
        with tempfile.TemporaryDirectory() as folder:
            figures = figures_of(case_of(_config(world, Path(folder)), model, as_of))
        if not place:
            print("| example |", " | ".join(figures), "|")
            print("|---|" + "---:|" * len(figures))
        print(f"| {name} |", " | ".join(map(_shown, figures.values())), "|", flush=True)


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
