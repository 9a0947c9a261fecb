"""On a host with a GPU: every plan on cuDF equals the CPU's result, and what each took.

    python -m benchmarks.gpu_check [plans] [training] [models] [throughput] [USERS] [EVENTS]

Without a name all four parts:

plans         features, labels, sequences and analyses (benchmarks.gpu_analysis) of a synthetic
              world on both devices, compared column by column: whole numbers exactly, others to
              1e-5 relative; the largest difference is printed
training      the whole path with XGBoost on both
models        each tabular model (benchmarks.gpu_tabular), models of buying (benchmarks.gpu_buying)
              and sequence models (benchmarks.gpu_sequences) on both
throughput    snapshots of a large log on `cuda` and on all cores, with the floor of a bare scan of
              the same columns on the same device

What differs or breaks is a line that says FAILED, and the check goes on.
Exits with 1 where there was one, with 2 where there is no device.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_series_equal

from benchmarks import gpu_buying, gpu_sequences, gpu_tabular, tabular_models
from benchmarks.big_log import write_big_log
from benchmarks.features import settings_in
from benchmarks.gpu_analysis import analyses
from benchmarks.gpu_verdict import Verdict
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
PARTS = ("plans", "training", "models", "throughput")
USERS, EVENTS = 20_000, 50_000_000
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
    AssertionError naming every column that differs by more than it may, with what the first of
    them has."""
    assert left.schema == right.schema, "the columns are others"
    keys = [name for name in KEYS if name in left.columns] or left.columns
    left, right = left.sort(keys, maintain_order=True), right.sort(keys, maintain_order=True)
    worst, wrong = (0.0, "none"), dict[str, AssertionError]()
    for name in left.columns:
        exact = not left.schema[name].is_float()
        try:
            assert_series_equal(
                right[name], left[name], check_exact=exact, rel_tol=TOLERANCE, abs_tol=TOLERANCE
            )
        except AssertionError as error:
            wrong[name] = error
            continue
        if not exact:
            worst = max(worst, (_difference(left[name], right[name]), name))
    assert not wrong, f"{len(wrong)} columns: {', '.join(wrong)}; {next(iter(wrong.values()))}"
    return left.width, f"{worst[0]:.1e} ({worst[1]})"


def _difference(left: pl.Series, right: pl.Series) -> float:
    scale = pl.select(pl.max_horizontal(left.abs(), right.abs(), 1.0)).to_series()
    found = ((left - right).abs() / scale).fill_nan(0.0).max()
    return float(found or 0.0)  # type: ignore[arg-type]


def buckets(store: EventStore, plan: Callable[[int], pl.LazyFrame], device: Device) -> pl.DataFrame:
    return pl.concat([collect(plan(bucket), device) for bucket in store.buckets])


def check_plans(settings: Settings, world: World, gpu: Device, verdict: Verdict) -> None:
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
    plans: dict[str, Callable[[Device], pl.DataFrame]] = {
        "as a snapshot computes them, 3 cutoffs": engine,
        "sequences": lambda device: buckets(store, sequences, device),
        "features": lambda device: buckets(store, features, device),
        "labels": lambda device: buckets(store, labels, device),
        **analyses(settings, store),
    }
    for name, work in plans.items():
        with verdict.on(name):
            both(name, work, gpu)


def check_throughput(
    settings: Settings,
    gpu: Device,
    verdict: Verdict,
    everywhere: Cluster = LOCAL,
    on_gpus: Cluster = GPUS,
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
            with verdict.on(f"{name}, {number} cutoffs"):
                frame, seconds = _snapshots(settings, store, number, device, cluster)
                print(
                    f"| {name}, {number} cutoffs | {seconds:.2f} | "
                    f"{rows * number / seconds:,.0f} | {floor:.2f} | {seconds / floor:.1f} |",
                    flush=True,
                )
                compared(found.setdefault(number, frame), frame)


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
    for kind, result in found.items():
        print(f"XGBoost on {kind}: AUC {aucs[kind]:.4f}, {result.seconds:.1f} s")
    assert abs(aucs["cpu"] - aucs["gpu"]) < RANKING_TOLERANCE, aucs


def check_models(settings: Settings, gpu: Device, verdict: Verdict) -> None:
    """Every model fitted on both devices, and how far apart they are."""
    print("\n## tabular models\n")
    gpu_tabular.compare(tabular_models.rows_of(settings), (CPU, gpu), verdict)
    print("\n## models of buying\n")
    with verdict.on("models of buying"):
        gpu_buying.check_buying(gpu)
    print("\n## sequence models")
    with verdict.on("sequence models"):
        gpu_sequences.check_sequences(gpu_sequences.given_by(settings), gpu, SequenceSpec())


def check(gpu: Device, parts: Sequence[str], users: int, events: int) -> Verdict:
    """The parts asked for, in the order of PARTS."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as folder:
        world = World(users=users)
        settings = load_settings(write_world(world, Path(folder)).config)
        ingest(settings)
        if "plans" in parts:
            check_plans(settings, world, gpu, verdict)
        if "training" in parts:
            with verdict.on("training"):
                check_training(settings, gpu)
        if "models" in parts:
            check_models(settings, gpu, verdict)
    if "throughput" in parts:
        with tempfile.TemporaryDirectory() as folder, verdict.on("throughput"):
            check_throughput(large_log(Path(folder), events), gpu, verdict)
    return verdict


def main(arguments: list[str]) -> int:
    named = [word for word in arguments if not word.isdigit()]
    if unknown := set(named) - set(PARTS):
        print(f"gpu-check: {unknown.pop()}: choose of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    try:
        gpu = decide("gpu")
    except HoldfastError as error:
        print(f"gpu-check: not run: {error}", file=sys.stderr)
        return 2
    given = [int(word) for word in arguments if word.isdigit()]
    users, events = (*given, *(USERS, EVENTS)[len(given) :])
    verdict = check(gpu, named or PARTS, users, events)
    print(f"\nfailed: {', '.join(verdict.failed)}" if verdict.failed else "\nall equal")
    return int(bool(verdict.failed))


def large_log(folder: Path, events: int) -> Settings:
    """An ingested store of so many events; every feature of the catalogue is asked for."""
    write_big_log(folder / "log", events, max(events // 50, 100), 4)
    settings = settings_in(folder, ("*",))
    ingest(settings)
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
