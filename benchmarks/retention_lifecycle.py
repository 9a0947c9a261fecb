"""Weekly states of a large log: ours, DuckDB's SQL over the same files, and the floor of a scan."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.features import settings_in
from events.passes import summed
from events.store import open_store
from retention.lifecycle import STATES, lifecycle
from runtime.device import Device

CPU = Device("cpu", "benchmark")


def ours(folder: Path) -> pl.DataFrame:
    """period, and users by state; of the weeks that have ended."""
    settings = settings_in(folder)
    found = lifecycle(settings, open_store(settings), CPU, "week").periods
    return found.filter(pl.col("complete")).select("period", pl.col(STATES).cast(pl.Int64))


def duckdb_sql(glob: str) -> str:
    """The same; the last week has not ended. A user and week once, then the weeks beside it."""
    return f"""
        with weeks as (
            select distinct user_id, date_trunc('week', ts at time zone 'UTC')::date as week
            from read_parquet('{glob}', hive_partitioning = false)
        ), spans as (
            select week, lag(week) over mine as before, lead(week) over mine as next
            from weeks window mine as (partition by user_id order by week)
        ), told as (
            select week as period, case when before is null then 0
                when before = week - 7 then 1 else 2 end as state from spans
            union all
            select week + 7, 3 from spans where next is null or next > week + 7
        )
        select period, count(*) filter (state = 0) as new,
            count(*) filter (state = 1) as returning,
            count(*) filter (state = 2) as resurrected, count(*) filter (state = 3) as dormant
        from told where period < (select max(week) from spans) group by period order by period
    """


def floor(folder: Path) -> pl.DataFrame:
    """A bare scan of the columns that are read."""
    store = open_store(settings_in(folder))
    return summed(
        lambda events: events.select(
            one=pl.lit(1),
            users=pl.col("user_id").str.len_bytes().cast(pl.Int64).sum(),
            last=pl.col("ts").cast(pl.Int64).max(),
        ),
        store,
        CPU,
        by=("one",),
        latest="last",
        label="scan",
    )
