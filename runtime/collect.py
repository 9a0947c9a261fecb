"""The one place where a plan is collected."""

from __future__ import annotations

import polars as pl

from runtime.device import Device


def collect(plan: pl.LazyFrame, device: Device) -> pl.DataFrame:
    """Runs a plan on Polars' CPU engine or on cuDF; on the GPU it never falls back silently."""
    if device.kind == "gpu":
        return plan.collect(engine=pl.GPUEngine(executor="in-memory", raise_on_fail=True))
    return plan.collect()
