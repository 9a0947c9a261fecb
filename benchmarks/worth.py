"""The distribution of value read off an expected value, beside one that a model gives by itself.

    python -m benchmarks.worth [NAME … | synthetic-SEED[-USERS] …]

One mean (linear Tweedie, XGBoost Tweedie and two parts averaged), fitted on the fit slice, scaled
on the calibration slice. Three distributions about it: the table of `training.worth`; the same
with P(value > 0) as a second dimension; and two-part's own, about its own mean. All are measured
at the later test cutoff: CRPS and absolute error of the median over the mean value, coverage of
90 % intervals of all users and of the tenth worth most, width over the mean value.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.examples import ROOT, configured, holdfast
from events.store import open_store
from events.synthetic import World, write_world
from features.learn import learn_spec
from features.snapshots import read
from runtime.device import Device
from runtime.settings import load_settings
from training import linear, trees, two_part
from training.calibration import fit_calibrator
from training.fitting import relative_value
from training.metrics import Floats
from training.plan import plan_of
from training.prepare import snapshots_of
from training.rows import Rows, labelled
from training.spread import LEVELS, Spread, interval, of_quantiles, with_zeros
from training.spread_metrics import spread_metrics
from training.threads import one_blas_thread
from training.worth import fit_worth

USERS = 5000
DEVICE = Device("cpu", "a benchmark")
SHOWN = ("CRPS", "nMAE of the median", "coverage", "of the top tenth", "width", "bias of the mean")


@dataclass(frozen=True)
class Told:
    """Of one slice: values (n,), users, three means averaged, two-part's own distribution."""

    value: Floats
    users: Any
    mean: Floats
    own: Spread
    buys: Floats  # log-odds of value > 0


def told(name: str, folder: Path) -> tuple[Told, Told] | None:
    """The calibration and the test slice; None on a log without amounts. Raises RuntimeError with
    what a command said."""
    if name.startswith("synthetic-"):
        seed, _, users = name.removeprefix("synthetic-").partition("-")
        world = World(users=int(users or USERS), seed=int(seed))
        config = write_world(world, folder).config
    else:
        config = configured(name, folder)
    holdfast(config, "ingest")
    settings = load_settings(config)
    store = open_store(settings)
    plan = plan_of(settings, store)
    spec = learn_spec(store, plan.learn_before, settings)
    taken = snapshots_of(settings, store, plan, spec, DEVICE)
    frame, seed_ = read(taken), settings.training.seed
    split = plan.split
    roles = (split.fit, split.calibrate, split.test)
    rows, later, test = (
        labelled(r.rows(frame, seed_), taken.features, str(r), seed_) for r in roles
    )
    relative = relative_value(rows)
    if relative is None or not relative.any():
        return None
    line = linear.fit_value(linear.LogisticSpec(), rows, relative)[0]
    boosted = trees.fit_value(trees.XGBoostSpec(), rows, relative, DEVICE)[0]
    parts = two_part.fit_value(two_part.TwoPartSpec(), rows, relative, DEVICE)[0]

    def of(some: Rows) -> Told:
        assert some.value is not None
        means = [np.exp(model.margin(some.x)) for model in (line, boosted, parts)]
        own, mean = parts.spread(some.x), np.mean(means, 0)
        return Told(some.value, some.users, mean, own, parts.buys.margin(some.x))

    return of(later), of(test)


def spreads(later: Told, test: Told) -> dict[str, Spread]:
    total = later.value.sum()
    scale = total / later.mean.sum()
    table = fit_worth(scale * later.mean, later.value, later.users)
    assert table is not None
    return {
        "table": table.spread(scale * test.mean),
        "table and P(value > 0)": _in_two_parts(later, test, scale),
        "two-part's own": test.own.scaled(total / later.own.mean.sum()),
    }


def _in_two_parts(later: Told, test: Told, scale: float) -> Spread:
    """P(value > 0) calibrated, and a table of the amounts of those who bring some."""
    some = later.value > 0
    calibrator = fit_calibrator(later.buys, some.astype(np.float64))
    assert calibrator is not None
    amount = (scale * later.mean / calibrator(later.buys))[some]
    table = fit_worth(amount, later.value[some])
    assert table is not None
    mean, chance = scale * test.mean, calibrator(test.buys)
    of_buyers = table.spread(mean / chance)
    known, rows = np.array(of_buyers.levels), np.arange(len(mean))

    def positive(inner: Floats) -> Floats:
        place = np.interp(inner, known, np.arange(len(known)))
        low = np.floor(place).astype(np.int64)
        below, above = (
            of_buyers.quantiles[rows, np.minimum(k, len(known) - 1)] for k in (low, low + 1)
        )
        return np.asarray(below + (place - low) * (above - below))

    return of_quantiles(mean, LEVELS, lambda level: with_zeros(chance, level, positive, log=False))


def figures(value: Floats, spread: Spread) -> list[float]:
    """As SHOWN."""
    found = spread_metrics(value, spread, np.ones(len(value)))
    low, high = interval(spread)
    inside = (low <= value) & (value <= high)
    top = np.argsort(spread.mean, kind="stable")[-max(len(value) // 10, 1) :]
    unit = value.mean()
    return [
        float(found["crps"] / unit),
        float(found["mae_median"] / unit),
        float(found["coverage_90"]),
        float(inside[top].mean()),
        float(found["width_90"] / unit),
        float(found["bias"]),
    ]


@one_blas_thread()
def main(names: list[str]) -> None:
    examples = sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))
    print(f"| data | distribution | {' | '.join(SHOWN)} |")
    print("|---|---|" + "---:|" * len(SHOWN))
    for name in names or [*examples, *(f"synthetic-{seed}" for seed in range(5))]:
        with tempfile.TemporaryDirectory() as folder:
            slices = told(name, Path(folder))
        if slices is None:
            print(f"| {name} | without amounts |{' - |' * len(SHOWN)}", flush=True)
            continue
        for of, spread in spreads(*slices).items():
            shown = " | ".join(f"{figure:.3f}" for figure in figures(slices[1].value, spread))
            print(f"| {name} | {of} | {shown} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
