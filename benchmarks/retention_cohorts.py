"""Weekly cohorts by one attribute over a large log: ours, DuckDB's best SQL, and a bare scan.

    python -m benchmarks.retention_cohorts ours|duckdb|duckdb_join|floor FOLDER
    python -m benchmarks.retention_cohorts compare FOLDER

FOLDER holds a log ingested as `benchmarks.features` does it. For each week of first events and
each channel of the first event, by weeks 0 to 12 after it: how many users were active. Each call
is one contender in a process of its own; `compare` runs all of them, twice in turn, checks that
the tables are equal, and prints the better times.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.features import settings_in
from events.store import open_store
from retention.curve import retention
from runtime.collect import collect
from runtime.device import Device
from runtime.pool import available_cores
from runtime.threads import in_threads

CPU = Device("cpu", "benchmark")
WEEKS = 12
KEYS = ("cohort", "channel", "week")
COLUMNS = ("user_id", "ts", "channel", "received")
RUNS = 3


def ours(folder: Path) -> pl.DataFrame:
    """cohort (the week's Monday), channel, week (0 to 12 after it), users, retained: every
    cohort with every week, none of them being left out for want of users."""
    settings = settings_in(folder)
    table = retention(settings, open_store(settings), CPU, "nday", "week", WEEKS, by="channel")
    rows = table.cells.select(
        "cohort", "users", "retained", channel=pl.col("group"), week=pl.col("start")
    )
    return rows.select(*KEYS, "users", "retained").sort(KEYS)


def duckdb_sql(glob: str) -> str:
    """The same table. First one row for each user and week, then the firsts of those few rows:
    faster than joining the log to the firsts (`duckdb_join_sql`), which reads it twice."""
    return f"""
        WITH weeks AS (
            SELECT user_id, date_trunc('week', ts)::DATE AS week, min(ts) AS ts,
                arg_min(channel, ts) AS channel
            FROM read_parquet('{glob}', hive_partitioning = false) GROUP BY ALL
        ), firsts AS (
            SELECT user_id, min(week) AS cohort, arg_min(channel, ts) AS channel
            FROM weeks GROUP BY user_id
        ), seen AS (
            SELECT cohort, firsts.channel, ((week - cohort) // 7)::INTEGER AS week,
                count(*) AS retained
            FROM weeks JOIN firsts USING (user_id) WHERE week - cohort <= {7 * WEEKS} GROUP BY ALL
        ), sizes AS (SELECT cohort, channel, count(*) AS users FROM firsts GROUP BY ALL)
        SELECT sizes.cohort, sizes.channel, n::INTEGER AS week, users,
            coalesce(retained, 0) AS retained
        FROM sizes CROSS JOIN range({WEEKS + 1}) AS weeks_after(n)
        LEFT JOIN seen ON seen.cohort = sizes.cohort AND seen.channel = sizes.channel
            AND seen.week = n
    """


def duckdb_join_sql(glob: str) -> str:
    """The same, as one would write it first."""
    log = f"read_parquet('{glob}', hive_partitioning = false)"
    return f"""
        WITH firsts AS (
            SELECT user_id, date_trunc('week', min(ts))::DATE AS cohort,
                arg_min(channel, ts) AS channel
            FROM {log} GROUP BY user_id
        ), seen AS (
            SELECT cohort, firsts.channel,
                ((date_trunc('week', ts)::DATE - cohort) // 7)::INTEGER AS week,
                count(DISTINCT user_id) AS retained
            FROM {log} AS log JOIN firsts USING (user_id) GROUP BY ALL
        ), sizes AS (SELECT cohort, channel, count(*) AS users FROM firsts GROUP BY ALL)
        SELECT sizes.cohort, sizes.channel, n::INTEGER AS week, users,
            coalesce(retained, 0) AS retained
        FROM sizes CROSS JOIN range({WEEKS + 1}) AS weeks_after(n)
        LEFT JOIN seen ON seen.cohort = sizes.cohort AND seen.channel = sizes.channel
            AND seen.week = n
    """


def by_duckdb(query: Callable[[str], str]) -> Callable[[Path], pl.DataFrame]:
    def found(folder: Path) -> pl.DataFrame:
        import duckdb

        glob = str(settings_in(folder).store / "events" / "**" / "*.parquet")
        with duckdb.connect() as connection:
            connection.execute(f"SET threads = {available_cores()}")
            connection.execute("SET preserve_insertion_order = false")
            connection.execute("SET timezone = 'UTC'")
            table = pl.from_arrow(connection.sql(query(glob)).to_arrow_table())
        assert isinstance(table, pl.DataFrame)
        return table.sort(KEYS)

    return found


def floor(folder: Path) -> int:
    """Reads the columns of every bucket into memory and lets them go again: the rows."""
    store = open_store(settings_in(folder))
    read = lambda b: collect(store.scan(b).select(COLUMNS), CPU).height  # noqa: E731
    return sum(in_threads(read, store.buckets, available_cores()))


CONTENDERS: dict[str, Callable[[Path], Any]] = {
    "ours": ours,
    "duckdb": by_duckdb(duckdb_sql),
    "duckdb_join": by_duckdb(duckdb_join_sql),
    "floor": floor,
}


def one(name: str, folder: Path) -> None:
    started = time.perf_counter(), time.process_time()
    found = CONTENDERS[name](folder)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    same = hash_of(found) if isinstance(found, pl.DataFrame) else None
    figures = {"seconds": seconds, "cpu": cpu, "peak_mib": peak, "table": same}
    print(json.dumps(figures))


def hash_of(table: pl.DataFrame) -> list[int]:
    """Rows, users and a number that any other cell would change."""
    types = {"cohort": pl.Date, "channel": pl.String, "week": pl.Int64}
    types |= {"users": pl.Int64, "retained": pl.Int64}
    plain = table.select(pl.col(name).cast(dtype) for name, dtype in types.items())
    return [plain.height, int(plain["retained"].sum()), int(plain.hash_rows().sum())]


def compare(folder: Path) -> None:
    best: dict[str, dict[str, Any]] = {}
    for name in list(CONTENDERS) * RUNS:
        call = [sys.executable, "-m", "benchmarks.retention_cohorts", name, str(folder)]
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
        run = json.loads(done.stdout.splitlines()[-1])
        if name not in best or run["seconds"] < best[name]["seconds"]:
            best[name] = run
    for name in ("duckdb", "duckdb_join"):
        assert best[name]["table"] == best["ours"]["table"], f"{name}: another table"
    for name, run in best.items():
        print(
            f"{name:12} {run['seconds']:6.2f} s {run['cpu']:6.2f} CPU s {run['peak_mib']:6.0f} MiB"
        )
    rival = min(best[name]["seconds"] for name in ("duckdb", "duckdb_join"))
    print(f"DuckDB / ours: {rival / best['ours']['seconds']:.1f}")


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    compare(where) if what == "compare" else one(what, where)
