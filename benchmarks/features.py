"""Features of a large log: ours beside DuckDB, plain Polars, pandas and the floor of a scan.

    python -m benchmarks.features [EVENTS] [USERS] [FOLDER]      (make bench-features)

Everything reads the same Parquet files, the buckets of an ingested store. Each contender runs
in a process of its own, one after the other, all on the same cores, and all of them twice in
turn: the better time counts. Results are compared: counts exactly, floats to 1e-9. The floor is
a bare scan of the same columns, bucket by bucket.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.big_log import DAYS, START, write_big_log
from benchmarks.feature_set import (
    ADDITIVE,
    SEQUENTIAL,
    plain_polars,
    query_additive,
    query_all,
)
from events.ingest import ingest
from events.store import open_store
from features.compute import Job, bucket_rows
from features.learn import learn_spec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.pool import available_cores
from runtime.settings import Settings, parse_settings
from runtime.threads import in_threads

CPU = Device("cpu", "benchmark")
NEWEST = START + timedelta(days=DAYS - 31)
PANDAS_SHARE = 10
COLUMNS = ("user_id", "ts", "event", "amount", "channel")
MICRO = timedelta(microseconds=1)
Result = tuple[pl.DataFrame | None, dict[str, Any]]


def cutoffs(number: int) -> list[Cutoff]:
    return [Cutoff(NEWEST - timedelta(days=30 * k)) for k in reversed(range(number))]


def cutoff_us() -> int:
    return (NEWEST - datetime(1970, 1, 1, tzinfo=UTC)) // MICRO


def settings_in(folder: Path, features: tuple[str, ...] = ADDITIVE) -> Settings:
    columns = {"user_id": "user_id", "ts": "ts", "event": "event"}
    columns |= {"amount": "amount", "channel": "channel"}
    source = {"name": "log", "path": "log/*.parquet", "columns": columns}
    chosen = {"set": "bench", "sets": {"bench": list(features)}, "windows_days": [7, 30, 90, 365]}
    raw = {"source": [source], "features": chosen, "events": {"deduplicate": "none"}}
    return parse_settings(raw, folder)


def files_of(settings: Settings, share: int = 1) -> list[Path]:
    """The files of the store's buckets; the first of every `share` of them."""
    store = open_store(settings)
    return [path for b in store.buckets[::share] for path in store.table.files_of(bucket=b)]


def ours(folder: Path, number: int, features: tuple[str, ...], share: int = 1) -> Result:
    settings = settings_in(folder, features)
    store = open_store(settings)
    spec = learn_spec(store, cutoffs(number)[0], settings)
    job = Job(settings, store, tuple(cutoffs(number)), spec, CPU)
    started = time.perf_counter(), time.process_time()
    found = in_threads(lambda b: bucket_rows(job, b), store.buckets[::share], available_cores())
    if number > 1:  # as a snapshot does: nothing but one bucket's result is held
        rows = sum(part.height for part in found)
        return None, timed(started) | {"rows": rows}
    frame = pl.concat(list(found), rechunk=False)
    return frame.drop("cutoff", "churn", "value"), timed(started) | {"rows": frame.height}


def duckdb(folder: Path, query: Callable[[str, int], str]) -> Result:
    import duckdb as database

    glob = str(settings_in(folder).store / "events" / "**" / "*.parquet")
    connection = database.connect()
    connection.execute(f"SET threads = {available_cores()}")
    connection.execute("SET preserve_insertion_order = false")
    started = time.perf_counter(), time.process_time()
    connection.execute(f"CREATE TEMP TABLE found AS {query(glob, cutoff_us())}")
    seconds = timed(started)
    found = pl.from_arrow(connection.sql("SELECT * FROM found").to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found, seconds


def polars(folder: Path, engine: str) -> Result:
    log = pl.scan_parquet(files_of(settings_in(folder)), hive_partitioning=False)
    started = time.perf_counter(), time.process_time()
    frame = plain_polars(log, cutoff_us()).collect(engine=engine)  # type: ignore[call-overload]
    return frame, timed(started)


def pandas(folder: Path) -> Result:
    from benchmarks.feature_pandas import plain_pandas

    paths = files_of(settings_in(folder), PANDAS_SHARE)
    started = time.perf_counter(), time.process_time()
    frame = plain_pandas(paths, cutoff_us())
    return pl.from_pandas(frame.reset_index()), timed(started)


def scan(folder: Path) -> Result:
    """Reads every bucket's columns into memory and lets them go again."""
    store = open_store(settings_in(folder))
    started = time.perf_counter(), time.process_time()
    rows = sum(collect(store.scan(b).select(COLUMNS), CPU).height for b in store.buckets)
    return None, timed(started) | {"rows": rows}


def timed(started: tuple[float, float]) -> dict[str, Any]:
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak_mib": peak}


EVERYTHING = (*ADDITIVE, *SEQUENTIAL)
CONTENDERS: dict[str, Callable[[Path], Result]] = {
    "scan": scan,
    "ours": lambda folder: ours(folder, 1, ADDITIVE),
    "ours, 12 cutoffs": lambda folder: ours(folder, 12, ADDITIVE),
    "ours, whole catalogue": lambda folder: ours(folder, 1, ("*",)),
    "ours, with sequences": lambda folder: ours(folder, 1, EVERYTHING),
    "ours, a tenth": lambda folder: ours(folder, 1, ADDITIVE, PANDAS_SHARE),
    "DuckDB": lambda folder: duckdb(folder, query_additive),
    "DuckDB, with sequences": lambda folder: duckdb(folder, query_all),
    "Polars, one query": lambda folder: polars(folder, "in-memory"),
    "Polars, streaming": lambda folder: polars(folder, "streaming"),
    "pandas, a tenth": pandas,
}
RUNS = 2
SAME = {
    "ours": ("DuckDB", "Polars, one query", "Polars, streaming"),
    "ours, with sequences": ("DuckDB, with sequences",),
    "ours, a tenth": ("pandas, a tenth",),
}


def best(folder: Path) -> dict[str, dict[str, Any]]:
    """The figures of every contender's better run; its result lies in a file beside the log."""
    runs = [{name: apart("--one", name, folder) for name in CONTENDERS} for _ in range(RUNS)]
    return {name: min((r[name] for r in runs), key=lambda f: f["seconds"]) for name in CONTENDERS}


def apart(*arguments: object) -> dict[str, Any]:
    """What a call of this module in a process of its own prints last. This process stays small:
    what it has held would count as its children's peak."""
    call = [sys.executable, "-m", "benchmarks.features", *map(str, arguments)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(name: str, folder: Path) -> None:
    frame, figures = CONTENDERS[name](folder)
    if frame is not None:
        frame.write_parquet(folder / f"{name}.result.parquet")
    print(json.dumps(figures))


def compare(folder: Path, name: str, other: str) -> int:
    """The number of columns found equal. Raises AssertionError where one differs."""
    left = pl.read_parquet(folder / f"{name}.result.parquet").sort("user_id")
    right = pl.read_parquet(folder / f"{other}.result.parquet").sort("user_id")
    assert left["user_id"].equals(right["user_id"]), f"{other}: other users"
    for column in left.drop("user_id").columns:
        mine, theirs = left[column], right[column]
        if not mine.dtype.is_float():
            assert mine.cast(pl.Int64).equals(theirs.cast(pl.Int64).alias(column)), (other, column)
            continue
        a, b = mine.cast(pl.Float64), theirs.cast(pl.Float64).fill_nan(None)
        assert a.is_null().equals(b.is_null()), f"{other}: {column} is null elsewhere"
        off = (a - b).abs() > 1e-9 * pl.select(pl.max_horizontal(a.abs(), b.abs(), 1.0)).to_series()
        assert not off.any(), f"{other}: {column} differs"
    return left.width - 1


def prepare(folder: Path, events: int, users: int) -> None:
    write_big_log(folder / "log", events, users, 4)
    print(json.dumps(asdict(ingest(settings_in(folder)))))
    (folder / "ready").touch()


def main(events: int = 50_000_000, users: int = 1_000_000, folder: str = "") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(folder or scratch)
        if not (place / "ready").exists():
            apart("--prepare", place, events, users)
        found = best(place)
        equal = {
            other: compare(place, name, other) for name, others in SAME.items() for other in others
        }
    report(events, found, equal)


def report(events: int, found: dict[str, dict[str, Any]], equal: dict[str, int]) -> None:
    print(f"{events:,} events, load {os.getloadavg()[0]:.1f} on {available_cores()} cores\n")
    print("| contender | seconds | CPU seconds | peak MiB | columns equal to ours |")
    print("|---|---:|---:|---:|---:|")
    for name, figures in found.items():
        cells = (f"{figures['seconds']:.2f}", f"{figures['cpu']:.2f}", f"{figures['peak_mib']:.0f}")
        print(f"| {name} | {' | '.join(cells)} | {equal.get(name, '')} |")
    second = {name: figures["seconds"] for name, figures in found.items()}
    ratios = {
        "DuckDB / ours": second["DuckDB"] / second["ours"],
        "DuckDB / ours, with sequences": second["DuckDB, with sequences"]
        / second["ours, with sequences"],
        "Polars / ours": min(second["Polars, one query"], second["Polars, streaming"])
        / second["ours"],
        "pandas / ours, a tenth": second["pandas, a tenth"] / second["ours, a tenth"],
        "ours / scan": second["ours"] / second["scan"],
        "12 cutoffs / 1": second["ours, 12 cutoffs"] / second["ours"],
    }
    print()
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--prepare"]:
        prepare(Path(sys.argv[2]), *map(int, sys.argv[3:5]))
    else:
        numbers, places = sys.argv[1:3], sys.argv[3:4]
        main(*map(int, numbers), *places)  # type: ignore[arg-type]
