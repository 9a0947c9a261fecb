"""On a host with a GPU: every tabular model fitted on both devices, and how they rank.

    python -m benchmarks.gpu_tabular [SEED]

Prints for each the AUC (churn) or the normalized Gini (value) of both devices and what each took,
the GPU's first fit not counted. The engines draw and bin differently, so the models are not the
same; their rankings must be, within TOLERANCE. Exits with 1 where one is not, with 2 where there is
no device.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_verdict import Verdict
from benchmarks.tabular_models import Parts, parts_of
from runtime.device import Device, decide
from runtime.errors import HoldfastError
from training import forest, linear, quantiles, trees, two_part, ziln, ziln_fit
from training.fitting import relative_value
from training.metrics import churn_metrics, normalized_gini

CPU = Device("cpu", "the reference")
TOLERANCE = {"logistic": 0.002, "forest": 0.01, "xgboost": 0.005}
VALUE_TOLERANCE = 0.02

Fit = Callable[[Device], Any]


def churn_fits(parts: Parts) -> dict[str, Fit]:
    rows = parts.fit
    return {
        "logistic": lambda device: linear.fit_churn(linear.LogisticSpec(), rows, device)[0],
        "forest": lambda device: forest.fit_churn(forest.ForestSpec(), rows, device)[0],
        "xgboost": lambda device: trees.fit_churn(trees.XGBoostSpec(), rows, device)[0],
    }


def value_fits(parts: Parts) -> dict[str, Fit]:
    rows, y = parts.fit, relative_value(parts.fit)
    assert y is not None
    return {
        "forest": lambda device: forest.fit_value(forest.ForestSpec(), rows, y, device)[0],
        "tweedie": lambda device: trees.fit_value(trees.XGBoostSpec(), rows, y, device)[0],
        "ziln": lambda d: ziln_fit.fit_value(ziln.ZilnSpec(), rows, y, d)[0],
        "two-part": lambda d: two_part.fit_value(two_part.TwoPartSpec(), rows, y, d)[0],
        "quantiles": lambda d: quantiles.fit_value(quantiles.QuantileSpec(), rows, y, d)[0],
    }


def compare(parts: Parts, devices: tuple[Device, Device], verdict: Verdict) -> None:
    """Prints a line for each model; the verdict notes where the rankings are apart."""
    print("| model | first | second | seconds | seconds | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name, fit in churn_fits(parts).items():
        with verdict.on(f"churn, {name}"):
            _line(f"churn, {name}", fit, devices, lambda m: _auc(m, parts), TOLERANCE[name])
    for name, fit in value_fits(parts).items():
        with verdict.on(f"value, {name}"):
            _line(f"value, {name}", fit, devices, lambda m: _gini(m, parts), VALUE_TOLERANCE)


def _line(
    name: str,
    fit: Fit,
    devices: tuple[Device, Device],
    measure: Callable[[Any], float],
    tolerance: float,
) -> None:
    fit(devices[1])  # warm
    found, seconds = [], []
    for device in devices:
        started = time.perf_counter()
        model = fit(device)
        seconds.append(time.perf_counter() - started)
        found.append(measure(model))
    cells = [f"{each:.4f}" for each in found] + [f"{each:.2f}" for each in seconds]
    print(f"| {name} | {' | '.join(cells)} | {seconds[0] / seconds[1]:.1f} |", flush=True)
    assert abs(found[0] - found[1]) < tolerance, f"{name}: {found}"


def _auc(model: Any, parts: Parts) -> float:
    p = 1 / (1 + np.exp(-model.margin(parts.test.x)))
    return float(churn_metrics(parts.test.churn, p, np.ones(len(p)))["roc_auc"])


def _gini(model: Any, parts: Parts) -> float:
    assert parts.test.value is not None
    margin = model.margin(parts.test.x)
    return float(normalized_gini(parts.test.value, margin, np.ones(len(margin))))


def main(arguments: list[str]) -> int:
    try:
        gpu = decide("gpu")
    except HoldfastError as error:
        print(f"gpu-tabular: not run: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        parts = parts_of(f"synthetic-{arguments[0] if arguments else 0}", Path(folder))
    verdict = Verdict()
    compare(parts, (CPU, gpu), verdict)
    return int(bool(verdict.failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
