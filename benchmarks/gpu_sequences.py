"""Sequence models on a GPU beside the CPU of the same host: part of `make gpu-check`.

For each encoder the events a second of training on both, their ratio, and the share of what the
device was measured to multiply (a large product in the precision that training uses there); then
the default model fitted to the end on both, whose rankings must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from features.sequence_files import Sequences
from runtime.device import Device
from runtime.settings import Settings
from training.column import SEQUENCE_CHURN
from training.encoders import ENCODERS
from training.metrics import churn_metrics
from training.prepare import prepared
from training.sequence_fitting import fit_sequence
from training.sequence_rows import counted
from training.sequence_spec import SequenceSpec
from training.split import Slice

CPU = Device("cpu", "the reference")
STEPS = (20, 100)  # of which the difference is timed: starting is not training
COUNTED = (1, 3)
SIDE = 4096  # of the product whose speed is the peak
AUC_TOLERANCE = 0.01


@dataclass(frozen=True)
class Given:
    """What a fit is given: of one training's fit slice."""

    sequences: Sequences
    rows: pl.DataFrame
    test: pl.DataFrame
    definitions: Any

    def fit(self, spec: SequenceSpec, device: Device) -> Any:
        return fit_sequence(spec, self.sequences, self.rows, self.definitions, device)[0]


def given_by(settings: Settings) -> Given:
    ready = prepared(settings, None, "sequence", CPU)
    split, task = ready.plan.split, ready.task
    assert task.sequences is not None

    def rows(of: Slice) -> pl.DataFrame:
        return of.rows(ready.frame, task.seed).filter(pl.col("churn").is_not_null())

    return Given(task.sequences, rows(split.fit), rows(split.test), task.spec.definitions)


def check_sequences(
    given: Given,
    gpu: Device,
    default: SequenceSpec,
    steps: tuple[int, int] = STEPS,
) -> None:
    """Prints a line for each encoder and one for the rankings. Raises AssertionError where those
    are further apart than AUC_TOLERANCE."""
    peaks = {device: peak(device) for device in (CPU, gpu)}
    print("\n| training | CPU events/s | GPU events/s | ratio | share of the GPU's peak |")
    print("|---|---:|---:|---:|---:|")
    for name in ENCODERS:
        spec = SequenceSpec(encoder=name, pretrain_epochs=0, bags=1)
        counts = counted(given.sequences, given.rows)
        events = counts.events / spec.steps_an_epoch(counts.rows, counts.events)
        rates = {d: events / step_seconds(given, spec, d, steps) for d in (CPU, gpu)}
        share = step_flops(given, spec) * rates[gpu] / events / peaks[gpu]
        ratio = rates[gpu] / rates[CPU]
        cells = f"{rates[CPU]:,.0f} | {rates[gpu]:,.0f} | {ratio:.1f} | {share:.2%}"
        print(f"| {name} | {cells} |", flush=True)
    found = {device: auc(given, default, device) for device in (CPU, gpu)}
    print(f"\nsequence model: AUC {found[CPU]:.4f} on the CPU, {found[gpu]:.4f} on the GPU")
    assert abs(found[CPU] - found[gpu]) < AUC_TOLERANCE, found


def step_seconds(given: Given, spec: SequenceSpec, device: Device, steps: tuple[int, int]) -> float:
    took = []
    given.fit(replace(spec, steps=1), device)  # to warm
    for number in steps:
        begun = time.perf_counter()
        given.fit(replace(spec, steps=number), device)
        took.append(time.perf_counter() - begun)
    return (took[1] - took[0]) / (steps[1] - steps[0])


def step_flops(given: Given, spec: SequenceSpec) -> float:
    """Of the products in a step, forward and backward, counted on the CPU."""
    found = []
    for number in COUNTED:
        with FlopCounterMode(display=False) as counter:
            given.fit(replace(spec, steps=number), CPU)
        found.append(counter.get_total_flops())
    return float(found[1] - found[0]) / (COUNTED[1] - COUNTED[0])


def peak(device: Device, side: int = SIDE) -> float:
    """Operations a second of a large product: bfloat16 on a GPU, float32 on a CPU."""
    on_gpu = device.kind == "gpu"
    kind = torch.bfloat16 if on_gpu else torch.float32
    matrix = torch.ones(side, side, dtype=kind, device="cuda" if on_gpu else "cpu")

    def product() -> None:
        matrix @ matrix
        if on_gpu:
            torch.cuda.synchronize()

    return 2 * side**3 / best(product)


def best(work: Callable[[], None], times: int = 5) -> float:
    work()
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return min(took)


def auc(given: Given, spec: SequenceSpec, device: Device) -> float:
    said = given.fit(spec, device).of_rows(given.sequences, given.test)
    churn = given.test["churn"].cast(pl.Float64).to_numpy()
    found = churn_metrics(churn, said[SEQUENCE_CHURN].to_numpy(), np.ones(len(churn)))
    return float(found["roc_auc"])
