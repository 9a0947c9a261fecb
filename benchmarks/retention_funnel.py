"""A five-step funnel with a window and an exclusion: ours, DuckDB's best SQL, and a bare scan.

Run by a harness, each in a process of its own; by itself, ours beside DuckDB:

    python -m benchmarks.retention_funnel FOLDER
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.features import CPU, settings_in, timed
from events.passes import each_bucket
from events.store import open_store
from retention.funnel import funnel

STEPS = ("login", "view", "cart", "purchase", "rate")
EXCLUDED = "support"
WINDOW = timedelta(days=7)
COLUMNS = ("user_id", "ts", "event")


def ours(folder: Path) -> pl.DataFrame:
    """step (Int64, from 1), users (Int64), median_seconds (Float64): as `holdfast funnel`."""
    settings = settings_in(folder)
    found = funnel(settings, open_store(settings), CPU, STEPS, WINDOW, exclude=[EXCLUDED])
    return found.steps.select(pl.col("step", "users").cast(pl.Int64), "median_seconds")


def floor(folder: Path) -> None:
    """Reads the same columns of every bucket, two at a time, and lets them go again."""
    store = open_store(settings_in(folder))
    for _ in each_bucket(lambda events: events.select(COLUMNS), store, CPU, "scan"):
        pass


def duckdb_sql(glob: str) -> str:
    """The same table, by ASOF joins: each event of a step finds the latest completion of the step
    before, and the last exclusion before it.

    The fastest of those tried, in CPU seconds of 2 cores on 50 M events: the steps' windows
    carried over one partition of all events 109; ASOF joins over a log held as a table 26, over
    the files with timestamps 24, with whole numbers 22, with the starts held as a table 17 (this
    one), and with the users of the step before looked up first 19.
    """
    log = f"read_parquet('{glob}')"
    window = WINDOW // timedelta(microseconds=1)
    parts = [
        f"""excluded as materialized (
            select user_id, epoch_us(ts) as tt from {log} where event = '{EXCLUDED}')""",
        f"""done0 as materialized (
            select user_id, epoch_us(ts) as tt, epoch_us(ts) as start
            from {log} where event = '{STEPS[0]}')""",
    ]
    for step in range(1, len(STEPS)):
        parts.append(f"""led{step} as (
            select e.user_id, e.tt, d.tt as before, d.start
            from (select user_id, epoch_us(ts) as tt from {log} where event = '{STEPS[step]}') e
            asof join done{step - 1} d on e.user_id = d.user_id and e.tt >= d.tt
            where e.tt - d.start < {window})""")
        parts.append(f"""done{step} as materialized (
            select l.user_id, l.tt, l.start
            from led{step} l
            asof left join excluded x on l.user_id = x.user_id and l.tt > x.tt
            where x.tt is null or l.before >= x.tt)""")
    told = " union all ".join(
        f"""select {step + 1}::bigint as step, count(*)::bigint as users,
            median(seconds)::double as median_seconds
            from (select (min(tt) - min(start)) // 1000000 as seconds
                from done{step} group by user_id)"""
        for step in range(len(STEPS))
    )
    return f"(with {', '.join(parts)} {told})"


def main(folder: Path) -> None:
    import duckdb

    started = time.perf_counter(), time.process_time()
    mine = ours(folder)
    print("ours", timed(started))
    glob = str(settings_in(folder).store / "events" / "**" / "*.parquet")
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    started = time.perf_counter(), time.process_time()
    theirs = connection.sql(duckdb_sql(glob)).pl().sort("step")
    print(
        f"DuckDB: {time.perf_counter() - started[0]:.2f} s, {time.process_time() - started[1]:.2f}"
    )
    assert mine.equals(theirs), (mine, theirs)
    print(mine)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
