"""Events that were numbered and never came: gaps of one in ids that count up.

Only single numbers between two rows of one channel within an hour are counted: longer gaps are
how many systems hand out numbers, and what lies beyond the as-of is in no such gap. Which event
had the number cannot be told.
"""

from __future__ import annotations

from statistics import NormalDist

import polars as pl

from events.daily import place_of_row
from events.erased import read_erased
from events.findings import Finding
from events.passes import each_bucket
from events.store import CPU, EventStore
from runtime.cluster import IN_PROCESS, Cluster
from runtime.settings import Settings
from runtime.wilson import wilson

RANGE = 1024  # neighbouring numbers are looked at together, or not at all
SAMPLED_ROWS = 1_000_000
LEAST_LOOKED_AT = 1000  # numbers between two rows
MOST_GAPS = 0.3  # more, and the numbers go by twos
SHARED = 0.99  # of the numbers are one row's: all channels count together
HOUR = 3_600_000_000
_Z = NormalDist().inv_cdf(0.9999)


def gap_findings(
    settings: Settings, store: EventStore, cluster: Cluster = IN_PROCESS
) -> list[Finding]:
    """By channel, of a sample of the numbers. Nothing where users were erased."""
    if all(source.columns.event_id is None for source in settings.source):
        return []
    if read_erased(settings.store).sieve_of:
        return []
    one_in = max(store.table.rows() // SAMPLED_ROWS, 1)
    parts = list(
        each_bucket(lambda e: numbers_plan(e, one_in), store, CPU, "numbers", cluster=cluster)
    )
    rows = pl.concat(parts)
    together = rows["id"].n_unique() >= SHARED * rows.height
    groups = [rows] if together else rows.partition_by("channel")
    found = pl.concat([gaps_in(group) for group in groups])
    counts = found.group_by("channel").agg(pl.col("gaps", "looked_at").sum()).sort("channel")
    least = settings.quality.gap_share
    return [_finding(*row) for row in counts.iter_rows() if _many(row[1], row[2], least)]


def numbers_plan(events: pl.LazyFrame, one_in: int) -> pl.LazyFrame:
    """A sample of one bucket's rows with a number for an id: id, ts (microseconds), channel."""
    rows = events.select(
        id=pl.col("event_id").cast(pl.Int64(), strict=False),
        ts=pl.col("ts").cast(pl.Int64()),
        channel=place_of_row(),
    )
    chosen = (pl.col("id") // RANGE).hash(seed=0) % one_in == 0
    return rows.filter(pl.col("id").is_not_null() & chosen)


def gaps_in(rows: pl.DataFrame) -> pl.DataFrame:
    """Of the numbers between two rows of a channel within an hour: channel, gaps (those that no
    row has), looked_at."""
    ordered = rows.unique("id").sort("id")
    gap = pl.col("id").shift(-1) - pl.col("id") == 2  # noqa: PLR2004
    whole = pl.col("id").shift(-2) - pl.col("id") == 2  # noqa: PLR2004
    after = [
        pl.when(gap).then(pl.col(n).shift(-1)).otherwise(pl.col(n).shift(-2))
        for n in ("channel", "ts")
    ]
    near = (pl.col("channel") == after[0]) & ((after[1] - pl.col("ts")).abs() <= HOUR)
    marked = ordered.select("channel", gap=gap & near, looked_at=(gap | whole) & near)
    return marked.group_by("channel").agg(
        gaps=pl.col("gap").sum().cast(pl.Int64), looked_at=pl.col("looked_at").sum().cast(pl.Int64)
    )


def _many(gaps: int, looked_at: int, least: float) -> bool:
    """Whether surely more than `least` (one-sided, 1 in 10,000)."""
    if looked_at < LEAST_LOOKED_AT or gaps / looked_at > MOST_GAPS:
        return False
    low, _ = wilson(gaps / looked_at, looked_at, _Z)
    return low > least


def _finding(channel: str, gaps: int, looked_at: int) -> Finding:
    return Finding(
        severity="warning",
        kind="gaps",
        event=None,
        channel=channel,
        first_day=None,
        last_day=None,
        found=round(gaps / looked_at, 5),
        expected=0,
        message=f"about {gaps / looked_at:.1%} of the numbered events of '{channel}' never came: "
        f"{gaps:,} of {looked_at:,} numbers between two of its rows; which events cannot be told",
    )
