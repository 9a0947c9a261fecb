"""Calibration and value intervals at the test cutoff, left alone and carried to the present.

    python -m benchmarks.over_time [--model logistic|xgboost] [NAME … | synthetic[:SEED]]

For each example: the share of churn at the calibration and the test cutoff, ECE and log loss of
the plain calibration, of the moved one, and of the best move there is (known only afterwards), the
ECE that a right model shows at that many users, and the coverage of 90 % value intervals. Every
model and every move is made from what was known at the test cutoff.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.examples import ROOT, configured, holdfast
from events.store import open_store
from features.learn import learn_spec
from features.matured import longest_horizon_days, matured_cutoffs
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import Device
from runtime.settings import Settings, load_settings
from training import linear, past, trees
from training.calibration import Calibrator, fit_calibrator
from training.churn_level import LevelReport, Span, churn_level
from training.conformal import covered
from training.coverage import track
from training.early import early_days, early_outcomes, level_cutoffs
from training.fitting import spec_of
from training.linear import Linear, LogisticSpec
from training.metrics import Floats, calibration_error, log_loss
from training.rows import Rows, labelled, matrix
from training.split import Split, plan_split, user_share
from training.trees import Trees, XGBoostSpec

CPU = Device("cpu", "a benchmark")
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
SHIFTS = np.linspace(-1.5, 1.5, 121)
DRAWS = 200
CUTOFFS = 40
USERS = 5000  # of the synthetic world
HELD = 0.8  # as in training.split: users from here on are not fitted on where time is short


@dataclass(frozen=True)
class Case:
    """`frame`: all that is known at the test cutoff, and the test labels beside it in `truth`."""

    settings: Settings
    frame: pl.DataFrame
    truth: pl.DataFrame
    features: tuple[str, ...]
    split: Split
    embargo: timedelta
    span: Span


def case_of(config: Path) -> Case:
    """Ingests, and computes the snapshots. Raises RuntimeError with what a command said."""
    holdfast(config, "ingest")
    settings = load_settings(config)
    store = open_store(settings)
    main = matured_cutoffs(store, settings)
    gap, horizon = settings.churn.gap_days, settings.churn.horizon_days
    embargo = timedelta(days=gap + longest_horizon_days(settings))
    split = plan_split(main, embargo, settings.training.cutoffs)
    now = split.test.cutoffs[0]
    every = sorted({*split.cutoffs, *level_cutoffs(now, main[-1], settings, CUTOFFS)})
    spec = learn_spec(store, split.fit.cutoffs[0], settings)
    taken = build_snapshots(settings, store, every, spec, CPU, labelled=True)
    frame = read(taken)
    days = early_days(settings)
    if days:
        early = early_outcomes(store, settings, every, days)
        frame = frame.join(early, on=["cutoff", "user_id"], how="left")
    ends = {"churn": gap + horizon, "value": gap + settings.value_horizon_days}
    ends |= {f"{name}_{d}d": gap + d for d in days for name in ("churn", "value")}
    known = [_until(name, end, now) for name, end in ends.items()]
    truth = frame.filter(pl.col("cutoff") == now.at)
    span = Span(float(gap), float(horizon))
    return Case(settings, frame.with_columns(known), truth, taken.features, split, embargo, span)


def _until(name: str, days: int, now: Cutoff) -> pl.Expr:
    matured = pl.col("cutoff") + timedelta(days=days) <= now.at
    return pl.when(matured).then(pl.col(name)).alias(name)


def churn_figures(case: Case, model: str) -> dict[str, Any]:
    """The columns of the table that speak of churn."""
    seed, split = case.settings.training.seed, case.split
    parts = [(split.fit, "fit"), (split.calibrate, "calibrate")]
    rows, later = (
        labelled(s.rows(case.frame, seed), case.features, role, seed) for s, role in parts
    )
    test = labelled(split.test.rows(case.truth, seed), case.features, "test", seed)
    fitted = _fitted(model, rows, seed)
    plain = fit_calibrator(fitted.margin(later.x), later.churn) or Calibrator()
    found = level_of(case, fitted)
    margin = fitted.margin(test.x)
    best = min(SHIFTS, key=lambda s: _loss(test.churn, replace(plain, shift=float(s))(margin)))
    told = {"none": plain, "moved": found.apply(plain), "best": replace(plain, shift=float(best))}
    figures: dict[str, Any] = {
        "rows": len(test),
        "rate then": float(later.churn.mean()),
        "rate now": float(test.churn.mean()),
        "candidate": found.chosen.name,
        "shift": found.shift,
        "best shift": float(best),
    }
    for name, calibrator in told.items():
        p = calibrator(margin)
        figures[f"ECE {name}"] = _ece(test.churn, p)
        figures[f"loss {name}"] = _loss(test.churn, p)
    return figures | {"ECE if right": _floor(told["best"](margin))}


def level_of(case: Case, fitted: Linear | Trees) -> LevelReport:
    """Measured by the model itself on rows that it has not seen, tried on an older one."""
    seed, split = case.settings.training.seed, case.split
    if split.notes:
        unseen = case.frame.filter(user_share(seed) >= HELD)
    else:
        first = split.fit.cutoffs[0].at + case.embargo
        unseen = case.frame.filter(pl.col("cutoff") >= first)
    own = past.scored_by(
        unseen, _predicts(fitted, case.features), split.fit.cutoffs, bool(split.notes)
    )
    scores = past.churn_scores(own)

    def fit(rows: pl.DataFrame) -> past.Predict:
        found = _fitted("logistic", labelled(rows, case.features, "fit", seed), seed)
        return _predicts(found, case.features)

    older = past.churn_scores(past.out_of_time(case.frame, case.embargo, fit, seed)[0])
    return churn_level(scores[:-1], scores[-1], case.span, older)


def _predicts(fitted: Linear | Trees, features: tuple[str, ...]) -> past.Predict:
    return lambda rows: past.Prediction(fitted.margin(matrix(rows, features)))


def _fitted(model: str, rows: Rows, seed: int) -> Linear | Trees:
    spec = spec_of(model, seed)
    if isinstance(spec, LogisticSpec):
        return linear.fit_churn(spec, rows)[0]
    assert isinstance(spec, XGBoostSpec)
    return trees.fit_churn(spec, rows, CPU)[0]


def value_coverage(case: Case) -> dict[str, Any]:
    """Coverage at the test cutoff of 90 % intervals about a plain quantile model; None where the
    log has no amounts."""
    seed, split = case.settings.training.seed, case.split
    rows = labelled(split.fit.rows(case.frame, seed), case.features, "fit", seed)
    test = labelled(split.test.rows(case.truth, seed), case.features, "test", seed)
    if rows.value is None or test.value is None or rows.value.max() <= 0:
        return {"coverage": None, "coverage raw": None}
    quantiles = _quantile_model(rows, seed)
    later = labelled(split.calibrate.rows(case.frame, seed), case.features, "calibrate", seed)
    day = past.day_of(split.calibrate.cutoffs[0])
    one = past.Forecast(day, quantiles(later.x), later.value, later.users)
    now = past.day_of(split.test.cutoffs[0])
    found = track([one], LEVELS, now, case.span)
    assert found is not None
    there = quantiles(test.x)
    raw = (test.value >= there[:, 0]) & (test.value <= there[:, -1])
    inside = covered(found.conformal, there, test.value)
    return {"coverage": float(inside.mean()), "coverage raw": float(raw.mean())}


def _quantile_model(rows: Rows, seed: int) -> Any:
    """XGBoost's quantile loss on asinh of money; a stand-in for the project's own models."""
    import xgboost

    assert rows.value is not None
    spent = np.maximum(rows.value, 0.0)
    unit = float(np.median(spent[spent > 0]))
    data = xgboost.QuantileDMatrix(rows.x, np.arcsinh(spent / unit))
    params = {
        "objective": "reg:quantileerror",
        "quantile_alpha": np.array(LEVELS),
        "eta": 0.1,
        "max_depth": 4,
        "min_child_weight": 20,
        "seed": seed,
    }
    booster = xgboost.train(params, data, num_boost_round=120)

    def predict(x: Any) -> Floats:
        scaled = np.asarray(booster.inplace_predict(x), dtype=np.float64)
        return np.asarray(unit * np.sinh(np.maximum(np.sort(scaled, axis=1), 0.0)))

    return predict


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
        with tempfile.TemporaryDirectory() as folder:
            case = case_of(_config(name, Path(folder)))
            figures = churn_figures(case, model) | value_coverage(case)
        if not place:
            print("| example |", " | ".join(figures), "|")
            print("|---|" + "---:|" * len(figures))
        print(f"| {name} |", " | ".join(map(_shown, figures.values())), "|", flush=True)


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str("-" if value is None else value)


if __name__ == "__main__":
    main(sys.argv[1:])
