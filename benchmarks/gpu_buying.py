"""BG/NBD on a GPU beside the CPU of the same host: part of `make gpu-check`."""

from __future__ import annotations

import time

import numpy as np

from runtime.device import Device
from training.buying_bgnbd import fit_bgnbd
from training.buying_simulate import simulate

CPU = Device("cpu", "the reference")
TRUE = (0.243, 4.414, 0.793, 2.426)
CUSTOMERS = 1_000_000
TOLERANCE = 1e-4  # relative, of the parameters


def check_buying(gpu: Device, customers: int = CUSTOMERS) -> None:
    """Prints the parameters and the seconds of both. Raises AssertionError where they differ."""
    ages = np.random.default_rng(0).uniform(27, 39, customers)
    known = simulate(TRUE, ages, 0, 1)
    values, seconds = {}, {}
    for device in (CPU, gpu):
        name = "cuda" if device.kind == "gpu" else "cpu"
        fit_bgnbd([known], device=name)  # to warm
        begun = time.perf_counter()
        values[device] = np.array(fit_bgnbd([known], device=name).values)
        seconds[device] = time.perf_counter() - begun
    apart = float(np.max(np.abs(values[gpu] / values[CPU] - 1)))
    print(
        f"BG/NBD, {customers:,} customers: {seconds[CPU]:.2f} s on the CPU, {seconds[gpu]:.2f} s "
        f"on the GPU ({seconds[CPU] / seconds[gpu]:.1f} times), parameters {apart:.1e} apart"
    )
    assert apart < TOLERANCE, values
