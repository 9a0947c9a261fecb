"""The one place where a plan is collected."""

from __future__ import annotations

import os
import threading

import polars as pl

from runtime.device import Device

_ON_THE_GPU = threading.Lock()


def collect(plan: pl.LazyFrame, device: Device) -> pl.DataFrame:
    """Runs a plan on Polars' CPU engine or on cuDF; on the GPU it never falls back silently, and
    takes one plan of this process at a time, in plain allocations: Polars' default there is a
    pool of managed memory."""
    if device.kind == "gpu":
        os.environ.setdefault("POLARS_GPU_ENABLE_CUDA_MANAGED_MEMORY", "0")
        with _ON_THE_GPU:
            return plan.collect(engine=pl.GPUEngine(executor="in-memory", raise_on_fail=True))
    return plan.collect()
