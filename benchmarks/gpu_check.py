"""On a host with a GPU: every plan on cuDF equals the CPU's result, and what each took.

    python -m benchmarks.gpu_check [USERS] [EVENTS]

Builds a synthetic world, computes its features, labels, sequences and analyses
(benchmarks.gpu_analysis) on both devices and compares them column by column (whole numbers
exactly, others to 1e-5 relative; the largest difference is printed); takes snapshots of a large
log on `cuda` and on all cores, with the floor of a bare scan of the same columns on the same
device; then trains every model on both and compares: the whole path with XGBoost, each tabular
model (benchmarks.gpu_tabular), sequence models (benchmarks.gpu_sequences) and models of buying.
Exits with 2 where there is no device.
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
from polars.testing import assert_series_equal

from benchmarks import gpu_buying, gpu_sequences, gpu_tabular, tabular_models
from benchmarks.big_log import write_big_log
from benchmarks.features import settings_in
from benchmarks.gpu_analysis import analyses
from events.ingest import ingest
from events.store import EventStore, open_store
from events.synthetic import World, write_world
from events.users import scan_users
from features.compute import Job, bucket_rows
from features.labels import label_plan
from features.learn import learn_spec
from features.plan import feature_plan
from features.sequences import sequence_plan
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.cluster import Cluster, Gpus, LocalProcesses, connected
from runtime.collect import collect
from runtime.device import Device, decide
from runtime.errors import HoldfastError
from runtime.files import remove_folder
from runtime.settings import Settings, load_settings
from training.recipe import train
from training.sequence_spec import SequenceSpec

TOLERANCE = 1e-5
RANKING_TOLERANCE = 0.005
CPU = Device("cpu", "the reference")
KEYS = ("cutoff", "user_id", "ts")
SCANNED = ("user_id", "ts", "event", "amount", "channel")
CUTOFFS = (1, 4)
EVENTS = 50_000_000
LOCAL, GPUS = LocalProcesses(), Gpus()
HEAD = "| {} | rows | CPU s | GPU s | ratio | columns equal | largest difference |"


def both(name: str, work: Callable[[Device], pl.DataFrame], gpu: Device) -> None:
    """Runs on both, compares, prints seconds. Warm: the GPU's first run is not counted."""
    work(gpu)
    seconds, frames = {}, {}
    for place, device in (("cpu", CPU), ("gpu", gpu)):
        started = time.perf_counter()
        frames[place] = work(device)
        seconds[place] = time.perf_counter() - started
    columns, worst = compared(frames["cpu"], frames["gpu"])
    ratio = seconds["cpu"] / seconds["gpu"]
    print(
        f"| {name} | {frames['cpu'].height:,} | {seconds['cpu']:.2f} | {seconds['gpu']:.2f} | "
        f"{ratio:.1f} | {columns} | {worst} |",
        flush=True,
    )


def compared(left: pl.DataFrame, right: pl.DataFrame) -> tuple[int, str]:
    """The number of columns, and the largest relative difference with its column. Raises
    AssertionError naming the first column that differs by more than it may."""
    assert left.schema == right.schema, "the columns are others"
    keys = [name for name in KEYS if name in left.columns] or left.columns
    left, right = left.sort(keys, maintain_order=True), right.sort(keys, maintain_order=True)
    worst = (0.0, "none")
    for name in left.columns:
        exact = not left.schema[name].is_float()
        assert_series_equal(
            right[name], left[name], check_exact=exact, rel_tol=TOLERANCE, abs_tol=TOLERANCE
        )
        if not exact:
            worst = max(worst, (_difference(left[name], right[name]), name))
    return left.width, f"{worst[0]:.1e} ({worst[1]})"


def _difference(left: pl.Series, right: pl.Series) -> float:
    scale = pl.select(pl.max_horizontal(left.abs(), right.abs(), 1.0)).to_series()
    found = ((left - right).abs() / scale).fill_nan(0.0).max()
    return float(found or 0.0)  # type: ignore[arg-type]


def buckets(store: EventStore, plan: Callable[[int], pl.LazyFrame], device: Device) -> pl.DataFrame:
    return pl.concat([collect(plan(bucket), device) for bucket in store.buckets])


def check_plans(settings: Settings, world: World, gpu: Device) -> None:
    store = open_store(settings)
    cutoff = Cutoff(world.end_at - timedelta(days=60))
    spec = learn_spec(store, cutoff, settings)

    def features(bucket: int) -> pl.LazyFrame:
        return feature_plan(store.scan(bucket), cutoff, spec, scan_users(settings, bucket))

    def labels(bucket: int) -> pl.LazyFrame:
        users = scan_users(settings, bucket)
        return label_plan(store.scan(bucket), cutoff, settings, users)

    def sequences(bucket: int) -> pl.LazyFrame:
        return sequence_plan(store.scan(bucket), spec)

    def engine(device: Device) -> pl.DataFrame:
        cutoffs = tuple(Cutoff(cutoff.at - timedelta(days=30 * k)) for k in (2, 1, 0))
        job = Job(settings, store, cutoffs, spec, device, labelled=True)
        return pl.concat([bucket_rows(job, bucket) for bucket in store.buckets])

    print(HEAD.format("plan") + "\n|---|---:|---:|---:|---:|---:|---|")
    both("as a snapshot computes them, 3 cutoffs", engine, gpu)
    both("sequences", lambda device: buckets(store, sequences, device), gpu)
    both("features", lambda device: buckets(store, features, device), gpu)
    both("labels", lambda device: buckets(store, labels, device), gpu)
    for name, work in analyses(settings, store).items():
        both(name, work, gpu)


def check_throughput(
    settings: Settings, gpu: Device, everywhere: Cluster = LOCAL, on_gpus: Cluster = GPUS
) -> None:
    """Snapshots of the same log on all cores and on all GPUs of this host; beside each the floor,
    a bare scan of the same columns there."""
    store = open_store(settings)
    rows = store.table.rows()
    print("\n| snapshots | seconds | events and cutoffs / s | floor, s | times the floor |")
    print("|---|---:|---:|---:|---:|")
    found: dict[int, pl.DataFrame] = {}
    for name, device, cluster in (("cpu", CPU, everywhere), ("cuda", gpu, on_gpus)):
        floor = _scanned(store, device)
        for number in CUTOFFS:
            frame, seconds = _snapshots(settings, store, number, device, cluster)
            other = found.setdefault(number, frame)
            compared(other, frame)
            print(
                f"| {name}, {number} cutoffs | {seconds:.2f} | {rows * number / seconds:,.0f} | "
                f"{floor:.2f} | {seconds / floor:.1f} |",
                flush=True,
            )


def _snapshots(
    settings: Settings, store: EventStore, number: int, device: Device, cluster: Cluster
) -> tuple[pl.DataFrame, float]:
    """Computed anew; the seconds are without the start of the cluster."""
    cutoffs = [Cutoff(store.as_of - timedelta(days=30 * k)) for k in range(number)]
    spec = learn_spec(store, cutoffs[-1], settings)
    with connected(cluster) as started:
        for _ in range(2):  # the first to warm
            remove_folder(settings.store / "snapshots")
            begun = time.perf_counter()
            taken = build_snapshots(settings, store, cutoffs, spec, device, False, started)
            seconds = time.perf_counter() - begun
    return read(taken), seconds


def _scanned(store: EventStore, device: Device) -> float:
    """Seconds that reading the columns of every bucket takes, the better of two runs."""
    found = []
    for _ in range(2):
        begun = time.perf_counter()
        for bucket in store.buckets:
            collect(store.scan(bucket).select(SCANNED), device)
        found.append(time.perf_counter() - begun)
    return min(found)


def check_training(settings: Settings, gpu: Device) -> None:
    found: dict[str, Any] = {
        device.kind: train(settings, None, "xgboost", device) for device in (CPU, gpu)
    }
    aucs = {kind: result.metrics["churn_roc_auc"] for kind, result in found.items()}
    assert abs(aucs["cpu"] - aucs["gpu"]) < RANKING_TOLERANCE, aucs
    for kind, result in found.items():
        print(f"XGBoost on {kind}: AUC {aucs[kind]:.4f}, {result.seconds:.1f} s")


def check_models(settings: Settings, gpu: Device) -> None:
    """Every model fitted on both devices, and how far apart they are."""
    print("\n## tabular models\n")
    gpu_tabular.compare(tabular_models.rows_of(settings), (CPU, gpu))
    print("\n## models of buying\n")
    gpu_buying.check_buying(gpu)
    print("\n## sequence models")
    gpu_sequences.check_sequences(gpu_sequences.given_by(settings), gpu, SequenceSpec())


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
        check_models(settings, gpu)
    with tempfile.TemporaryDirectory() as folder:
        large = large_log(Path(folder), int(arguments[1]) if arguments[1:] else EVENTS)
        check_throughput(large, gpu)
    return 0


def large_log(folder: Path, events: int) -> Settings:
    """An ingested store of so many events; every feature of the catalogue is asked for."""
    write_big_log(folder / "log", events, max(events // 50, 100), 4)
    settings = settings_in(folder, ("*",))
    ingest(settings)
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
