"""Retention tables, funnels and paths of a large log: ours beside DuckDB and a bare scan.

    python -m benchmarks.retention [EVENTS] [USERS] [FOLDER]      (make bench-retention)

Everything reads the same Parquet files, the buckets of an ingested store. Each contender runs in
a process of its own, one after the other, on the same cores, all of them twice in turn: the
better time counts, and the larger peak. What they return is compared. The floor is a bare scan of
the same columns.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.features import apart as prepared_apart
from benchmarks.features import settings_in, timed
from runtime.pool import available_cores

QUESTIONS = ("retention_cohorts", "retention_funnel", "retention_paths")
CONTENDERS = ("floor", "ours", "DuckDB")
RUNS = 2
CLOSE = 1e-9


def contend(question: str, contender: str, folder: Path) -> tuple[pl.DataFrame | None, Any]:
    """Its result and what it took: `seconds`, `cpu`, `peak_mib`."""
    asked = importlib.import_module(f"benchmarks.{question}")
    if contender == "DuckDB":
        return _duckdb(asked.duckdb_sql(_glob(folder)))
    started = time.perf_counter(), time.process_time()
    found = getattr(asked, contender)(folder)
    return (found if contender == "ours" else None), timed(started)


def _glob(folder: Path) -> str:
    return str(settings_in(folder).store / "events" / "**" / "*.parquet")


def _duckdb(query: str) -> tuple[pl.DataFrame, Any]:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {available_cores()}")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET TimeZone = 'UTC'")
    started = time.perf_counter(), time.process_time()
    connection.execute(f"CREATE TEMP TABLE found AS {query}")
    taken = timed(started)
    found = pl.from_arrow(connection.sql("SELECT * FROM found").to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found, taken


def one(question: str, contender: str, folder: Path) -> None:
    frame, figures = contend(question, contender, folder)
    if frame is not None:
        frame.write_parquet(_result(folder, question, contender))
    print(json.dumps(figures))


def _result(folder: Path, question: str, contender: str) -> Path:
    return folder / f"{question}.{contender}.result.parquet"


def apart(*arguments: object) -> dict[str, Any]:
    """What a call of this module in a process of its own prints last."""
    call = [sys.executable, "-m", "benchmarks.retention", *map(str, arguments)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def best(question: str, folder: Path) -> dict[str, dict[str, float]]:
    runs = [{n: apart("--one", question, n, folder) for n in CONTENDERS} for _ in range(RUNS)]
    return {
        name: min((r[name] for r in runs), key=lambda f: f["seconds"])
        | {"peak_mib": max(r[name]["peak_mib"] for r in runs)}
        for name in CONTENDERS
    }


def compare(question: str, folder: Path) -> int:
    """The number of rows found equal. Raises AssertionError where one differs."""
    left, right = (pl.read_parquet(_result(folder, question, n)) for n in ("ours", "DuckDB"))
    assert set(left.columns) == set(right.columns), (left.columns, right.columns)
    keys = [name for name, dtype in left.schema.items() if not dtype.is_float()]
    right = right.select(left.columns).cast(dict(left.schema))  # type: ignore[arg-type]
    left, right = left.sort(keys), right.sort(keys)
    assert left.select(keys).equals(right.select(keys)), f"{question}: results differ"
    for name in set(left.columns) - set(keys):
        off = (left[name] - right[name]).abs() > CLOSE * left[name].abs().clip(lower_bound=1)
        assert not off.any(), f"{question}: {name} differs"
    return left.height


def main(events: int = 50_000_000, users: int = 1_000_000, folder: str = "") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(folder or scratch)
        if not (place / "ready").exists():
            prepared_apart("--prepare", place, events, users)
        print(f"{events:,} events, load {os.getloadavg()[0]:.1f} on {available_cores()} cores\n")
        print("| question | contender | seconds | CPU seconds | peak MiB | rows | times ours |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for question in QUESTIONS:
            report(question, best(question, place), compare(question, place))


def report(question: str, found: dict[str, dict[str, float]], rows: int) -> None:
    for name, figures in found.items():
        cells = (f"{figures['seconds']:.2f}", f"{figures['cpu']:.2f}", f"{figures['peak_mib']:.0f}")
        ratio = figures["seconds"] / found["ours"]["seconds"]
        shown = "" if name == "floor" else rows
        print(f"| {question} | {name} | {' | '.join(cells)} | {shown} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        numbers, places = sys.argv[1:3], sys.argv[3:4]
        main(*map(int, numbers), *places)  # type: ignore[arg-type]
