"""On a host with a GPU: every plan on cuDF equals the CPU's result, and what each took.

    python -m benchmarks.gpu_check [USERS]

Builds a synthetic world, computes its snapshots and labels, its retention, funnel and lifecycle
on both devices and compares them (whole numbers exactly, others to 1e-9 relative); then trains
XGBoost on both and compares the rankings. Exits with 2 where there is no device.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from events.ingest import ingest
from events.store import EventStore, open_store
from events.synthetic import World, write_world
from events.users import scan_users
from features.labels import label_plan
from features.learn import learn_spec
from features.plan import feature_plan
from features.time import Cutoff
from retention.curve import retention
from retention.funnel import funnel
from retention.lifecycle import lifecycle
from runtime.collect import collect
from runtime.device import Device, decide
from runtime.errors import HoldfastError
from runtime.settings import Settings, load_settings
from training.recipe import train

TOLERANCE = 1e-9
RANKING_TOLERANCE = 0.005
CPU = Device("cpu", "the reference")


def both(name: str, work: Callable[[Device], pl.DataFrame], gpu: Device) -> None:
    """Runs on both, compares, prints seconds. Warm: the GPU's first run is not counted."""
    work(gpu)
    seconds, frames = {}, {}
    for device in (CPU, gpu):
        started = time.perf_counter()
        frames[device.kind] = work(device)
        seconds[device.kind] = time.perf_counter() - started
    left, right = frames["cpu"], frames["gpu"]
    assert_frame_equal(right, left, rel_tol=TOLERANCE, abs_tol=TOLERANCE, check_row_order=False)
    ratio = seconds["cpu"] / seconds["gpu"]
    print(
        f"| {name} | {left.height:,} | {seconds['cpu']:.2f} | {seconds['gpu']:.2f} | {ratio:.1f} |"
    )


def buckets(store: EventStore, plan: Callable[[int], pl.LazyFrame], device: Device) -> pl.DataFrame:
    return pl.concat([collect(plan(bucket), device) for bucket in store.buckets]).sort("user_id")


def check_plans(settings: Settings, world: World, gpu: Device) -> None:
    store = open_store(settings)
    cutoff = Cutoff(world.end_at - timedelta(days=60))
    spec = learn_spec(store, cutoff, settings)

    def features(bucket: int) -> pl.LazyFrame:
        return feature_plan(store.scan(bucket), cutoff, spec, scan_users(settings, bucket))

    def labels(bucket: int) -> pl.LazyFrame:
        users = scan_users(settings, bucket)
        return label_plan(store.scan(bucket), cutoff, settings, users)

    print("| plan | rows | CPU s | GPU s | ratio |\n|---|---:|---:|---:|---:|")
    both("features", lambda device: buckets(store, features, device), gpu)
    both("labels", lambda device: buckets(store, labels, device), gpu)
    both("retention", lambda device: retention(settings, store, device).cells, gpu)
    both("lifecycle", lambda device: lifecycle(settings, store, device).periods, gpu)
    steps = ("login", "purchase")
    both("funnel", lambda device: funnel(settings, store, device, steps).steps, gpu)


def check_training(settings: Settings, gpu: Device) -> None:
    found: dict[str, Any] = {
        device.kind: train(settings, None, "xgboost", device) for device in (CPU, gpu)
    }
    aucs = {kind: result.metrics["churn_roc_auc"] for kind, result in found.items()}
    assert abs(aucs["cpu"] - aucs["gpu"]) < RANKING_TOLERANCE, aucs
    for kind, result in found.items():
        print(f"XGBoost on {kind}: AUC {aucs[kind]:.4f}, {result.seconds:.1f} s")


def main(arguments: list[str]) -> int:
    try:
        gpu = decide("gpu")
    except HoldfastError as error:
        print(f"gpu-check: not run: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        world = World(users=int(arguments[0]) if arguments else 20_000)
        settings = load_settings(write_world(world, Path(folder)).config)
        ingest(settings)
        check_plans(settings, world, gpu)
        check_training(settings, gpu)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
