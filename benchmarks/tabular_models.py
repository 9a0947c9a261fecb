"""Every tabular model of churn and of value on the examples and on the synthetic world.

    python -m benchmarks.tabular_models [NAME …]

A name is one of an example, or `synthetic-SEED`. Prints two Markdown tables for each: all models
fitted on the same rows, calibrated on the same later ones, measured on the same last ones, with
95 % intervals over users. Nothing is chosen by what it prints.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.examples import ROOT, configured, holdfast
from events.store import open_store
from events.synthetic import World, write_world
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from runtime.device import Device
from runtime.settings import Settings, load_settings
from training import forest, linear, quantiles, trees, two_part, ziln, ziln_fit
from training.bootstrap import interval, over_users
from training.calibration import fit_calibrator
from training.fitting import relative_value
from training.metrics import Floats, churn_metrics, value_metrics
from training.plan import plan_of
from training.rows import Matrix, Rows, labelled
from training.spread import Spread, average
from training.spread_metrics import spread_metrics
from training.threads import one_blas_thread

DRAWS = 200
SYNTHETIC_USERS = 5000
DEVICE = Device("cpu", "asked for")
CHURN: dict[str, Callable[[Rows], Any]] = {
    "logistic": lambda rows: linear.fit_churn(linear.LogisticSpec(), rows)[0],
    "forest": lambda rows: forest.fit_churn(forest.ForestSpec(), rows, DEVICE)[0],
    "xgboost": lambda rows: trees.fit_churn(trees.XGBoostSpec(), rows, DEVICE)[0],
}


@dataclass(frozen=True)
class Averaged:
    """ZILN and two parts, their distributions averaged."""

    models: tuple[Any, ...]

    def spread(self, x: Matrix) -> Spread:
        return average([model.spread(x) for model in self.models])

    def margin(self, x: Matrix) -> Floats:
        return np.asarray(np.log(self.spread(x).mean))


def averaged(rows: Rows, relative: Floats) -> Averaged:
    return Averaged(tuple(VALUE[name](rows, relative) for name in ("ZILN", "two-part")))


VALUE: dict[str, Callable[[Rows, Floats], Any]] = {
    "linear Tweedie": lambda rows, y: linear.fit_value(linear.LogisticSpec(), rows, y)[0],
    "XGBoost Tweedie": lambda rows, y: trees.fit_value(trees.XGBoostSpec(), rows, y, DEVICE)[0],
    "forest": lambda rows, y: forest.fit_value(forest.ForestSpec(), rows, y, DEVICE)[0],
    "ZILN": lambda rows, y: ziln_fit.fit_value(ziln.ZilnSpec(), rows, y, DEVICE)[0],
    "two-part": lambda r, y: two_part.fit_value(two_part.TwoPartSpec(), r, y, DEVICE)[0],
    "quantiles": lambda r, y: quantiles.fit_value(quantiles.QuantileSpec(), r, y, DEVICE)[0],
    "ZILN and two-part": averaged,
}
SHOWN_CHURN = ("roc_auc", "average_precision", "log_loss", "ece")
SHOWN_VALUE = ("normalized_gini", "nmae", "bias", "nmae_median", "ncrps", "coverage_90", "width_90")


@dataclass(frozen=True)
class Parts:
    fit: Rows
    later: Rows
    test: Rows


def parts_of(name: str, folder: Path) -> Parts:
    """Fit, calibration and test rows of an example or a synthetic world, ingested into `folder`."""
    if name.startswith("synthetic-"):
        world = World(users=SYNTHETIC_USERS, seed=int(name.removeprefix("synthetic-")))
        config = write_world(world, folder).config
    else:
        config = configured(name, folder)
    holdfast(config, "ingest")
    return rows_of(load_settings(config))


def rows_of(settings: Settings) -> Parts:
    """The same of a log that is ingested."""
    store = open_store(settings)
    split = plan_of(settings, store).split
    spec = learn_spec(store, split.fit.cutoffs[0], settings)
    snapshots = build_snapshots(settings, store, split.cutoffs, spec, DEVICE, True)
    frame, seed = read(snapshots), settings.training.seed
    roles = (split.fit, split.calibrate, split.test)
    return Parts(*(labelled(r.rows(frame, seed), snapshots.features, str(r), seed) for r in roles))


def churn_row(parts: Parts, fit: Callable[[Rows], Any]) -> dict[str, Any]:
    started = time.perf_counter()
    model = fit(parts.fit)
    seconds = time.perf_counter() - started
    calibrator = fit_calibrator(model.margin(parts.later.x), parts.later.churn)
    assert calibrator is not None
    probability = calibrator(model.margin(parts.test.x))
    return {"seconds": seconds} | _with_intervals(
        lambda weights: churn_metrics(parts.test.churn, probability, weights), parts.test
    )


def value_row(parts: Parts, fit: Callable[[Rows, Floats], Any]) -> dict[str, Any]:
    relative = relative_value(parts.fit)
    assert relative is not None
    assert parts.later.value is not None
    actual = parts.test.value
    assert actual is not None
    started = time.perf_counter()
    model = fit(parts.fit, relative)
    seconds = time.perf_counter() - started
    scale = parts.later.value.sum() / np.exp(model.margin(parts.later.x)).sum()
    mean = scale * np.exp(model.margin(parts.test.x))
    spread = model.spread(parts.test.x).scaled(scale) if hasattr(model, "spread") else None

    def measure(weights: Floats) -> dict[str, Floats]:
        found = value_metrics(actual, mean, weights)
        if spread is None:
            return found
        more = spread_metrics(actual, spread, weights)
        for of, to in (("mae_median", "nmae_median"), ("crps", "ncrps")):
            more[to] = more[of] / found["mean"]
        return {**more, "width_90": more["width_90"] / found["mean"], **found}

    return {"seconds": seconds} | _with_intervals(measure, parts.test)


def _with_intervals(
    measure: Callable[[Floats], dict[str, Floats]], test: Rows
) -> dict[str, tuple[float, tuple[float, float] | None]]:
    points = measure(np.ones(len(test)))
    draws = over_users(measure, test.users, DRAWS, 0)
    return {name: (float(point), interval(draws[name])) for name, point in points.items()}


def table(rows: dict[str, dict[str, Any]], shown: tuple[str, ...]) -> str:
    lines = [f"| model | {' | '.join(shown)} | seconds |", "|---|" + "---:|" * (len(shown) + 1)]
    for name, row in rows.items():
        cells = [_cell(row.get(metric)) for metric in shown]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['seconds']:.1f} |")
    return "\n".join(lines)


def _cell(found: tuple[float, tuple[float, float] | None] | None) -> str:
    if found is None:
        return "-"
    point, between = found
    return f"{point:.3f}" + (f" ({between[0]:.3f} to {between[1]:.3f})" if between else "")


@one_blas_thread()
def main(names: list[str]) -> None:
    examples = sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))
    for name in names or [*examples, "synthetic-0", "synthetic-1"]:
        with tempfile.TemporaryDirectory() as folder:
            parts = parts_of(name, Path(folder))
        sizes = [len(each) for each in (parts.fit, parts.later, parts.test)]
        print(f"\n## {name}: {sizes} rows to fit, calibrate and test on\n", flush=True)
        print(table({n: churn_row(parts, fit) for n, fit in CHURN.items()}, SHOWN_CHURN), "\n")
        if parts.fit.value is not None and parts.fit.value.max() > 0:
            print(table({n: value_row(parts, f) for n, f in VALUE.items()}, SHOWN_VALUE))
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
