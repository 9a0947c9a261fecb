"""Ingest of a large log beside DuckDB's partitioned, sorted copy of the same files.

    python -m benchmarks.ingest [EVENTS] [USERS] [FILES]

Each runs in a process of its own on the same two cores, twice in turn, the better one counts:
`holdfast ingest`; DuckDB's `COPY (SELECT *, hash % buckets ... ORDER BY bucket, user_id, ts)
TO ... (PARTITION_BY bucket)`; and the floor, a bare read of the files and a bare write of what
was read. Holdfast also checks every row, drops duplicates, hashes the files and commits to a
table; DuckDB does not. The results are compared: rows and amounts of each user's bucket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks.big_log import write_big_log
from events.layout import buckets_for

CORES = 2
RUNS = 2
SETTINGS = """
[[source]]
name = "log"
path = "log/*.parquet"

[source.columns]
user_id = "user_id"
ts = "ts"
event = "event"
amount = "amount"
channel = "channel"
"""
TIMED = """
import json, resource, sys, time
started = time.perf_counter()
{work}
wall = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_SELF)
figures = (wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)
print(json.dumps(dict(zip(("wall", "cpu", "peak_gb"), figures))), file=sys.stderr)
"""
HOLDFAST = """
from holdfast.cli import run
assert run(["ingest", "-c", sys.argv[1] + "/holdfast.toml", "--json"]) == 0
"""
DUCKDB = """
import duckdb
folder, buckets, threads = sys.argv[1:4]
connection = duckdb.connect()
connection.execute(f"SET threads = {threads}")
connection.execute(f"SET temp_directory = '{folder}/spilled'")
connection.execute(
    f"COPY (SELECT *, CAST(hash(user_id) % {buckets} AS INTEGER) AS bucket "
    f"FROM read_parquet('{folder}/log/*.parquet') ORDER BY bucket, user_id, ts) "
    f"TO '{folder}/duckdb' (FORMAT parquet, PARTITION_BY (bucket), COMPRESSION zstd)"
)
"""
FLOOR = """
import runtime
import polars as pl
from pathlib import Path
for path in sorted(Path(sys.argv[1], "log").glob("*.parquet")):
    frame = pl.read_parquet(path)
    copy = Path(sys.argv[1], "floor", path.name)
    frame.write_parquet(copy, compression="zstd", compression_level=1, mkdir=True)
"""
WORKS = {"holdfast ingest": HOLDFAST, "DuckDB copy": DUCKDB, "floor": FLOOR}
RESULTS = {"holdfast ingest": "store", "DuckDB copy": "duckdb", "floor": "floor"}


def timed(name: str, folder: Path, buckets: int) -> dict[str, float]:
    """One run in a process of its own: seconds of wall clock and processors, peak GB."""
    _clear(folder / RESULTS[name])
    program = TIMED.format(work=WORKS[name].strip())
    call = [sys.executable, "-c", program, str(folder), str(buckets), str(CORES)]
    environment = os.environ | {"POLARS_MAX_THREADS": str(CORES)}
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip()[-1000:]}")
    found: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    return found


def _clear(path: Path) -> None:
    subprocess.run(["rm", "-rf", str(path)], check=True)


def counted(files: str, bucket: str) -> pl.DataFrame:
    """Rows, users and amounts of every bucket, which `bucket` computes or names."""
    query = (
        f"SELECT {bucket} AS bucket, count(*) AS rows, count(DISTINCT user_id) AS users, "
        f"sum(CAST(round(amount * 100) AS BIGINT)) AS cents "
        f"FROM read_parquet('{files}', hive_partitioning = true) GROUP BY 1 ORDER BY 1"
    )
    found: pl.DataFrame = duckdb.sql(query).pl()  # type: ignore[union-attr]
    return found


def check(folder: Path, buckets: int) -> None:
    """Both hold the same log, each in its own buckets, sorted, one file a bucket."""
    ours, theirs = f"{folder}/store/events/**/*.parquet", f"{folder}/duckdb/**/*.parquet"
    same = f"hash(user_id) % {buckets}"
    assert counted(ours, same).equals(counted(theirs, same)), "the two hold different rows"
    parted = counted(ours, "bucket")
    assert parted.height == buckets or parted["users"].sum() < 10 * buckets
    assert parted["users"].sum() == counted(ours, "0")["users"][0], "a user is in two buckets"
    files = sorted((folder / "store" / "events").glob("bucket=*/*.parquet"))
    assert len(files) == parted.height, f"{len(files)} files for {parted.height} buckets"
    for path in files:
        keys = pl.read_parquet(path, columns=["user_id", "ts"], hive_partitioning=False)
        assert keys.select(pl.struct(pl.all()).is_sorted()).item(), f"{path} is not sorted"


def compare(folder: Path, events: int, users: int, files: int) -> None:
    (folder / "holdfast.toml").write_text(SETTINGS)
    paths = write_big_log(folder / "log", events, users, files)
    buckets = buckets_for(events)
    size = sum(path.stat().st_size for path in paths)
    print(f"ingest: {events:,} events, {users:,} users, {files} files of {size / 1e6:,.0f} MB")
    print(f"  {buckets} buckets, {CORES} threads, load {os.getloadavg()[0]:.1f} before", flush=True)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WORKS}
    for _ in range(RUNS):
        for name, found in runs.items():
            found.append(timed(name, folder, buckets))
            print(f"  {name:16s} {shown(found[-1], events)}", flush=True)
    check(folder, buckets)
    best = {name: min(found, key=lambda run: run["wall"]) for name, found in runs.items()}
    ours, theirs, floor = (best[name] for name in WORKS)
    for figure in ("wall", "cpu"):
        ratio = theirs[figure] / ours[figure]
        above = ours[figure] / floor[figure]
        print(f"  {figure}: {ratio:.2f} times DuckDB's speed; {above:.1f} times the floor's time")


def shown(run: dict[str, Any], events: int) -> str:
    return (
        f"{run['wall']:6.2f} s, {run['cpu']:6.2f} s of processor time, "
        f"{events / run['wall'] / 1e6:5.2f} M rows/s, peak {run['peak_gb']:.2f} GB"
    )


def main(events: int = 50_000_000, users: int = 1_000_000, files: int = 8) -> None:
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), events, users, files)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
