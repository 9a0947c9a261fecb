"""Rows of snapshots for grouping: a sample to learn from, and everyone a bucket at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from events.contract import TIME
from features.snapshots import Snapshots
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.parts import Table
from runtime.progress import progress
from runtime.tables import open_table
from training.groups_model import GroupModel
from training.groups_profile import activity_column, value_column
from training.split import user_share

CPU = Device("cpu", "a look at the snapshots")
MOST_FIT = 20_000  # users: medians and centres move by less than can be read with more
SLICE = 100_000  # users whose coordinates are in memory at a time
OUTCOMES = ("churn", "value")


def sample(snapshots: Snapshots, cutoff: Cutoff, columns: Sequence[str], seed: int) -> pl.DataFrame:
    """About MOST_FIT users at the cutoff, or all, in an order that depends on their ids and the
    seed alone: the first n are a random n. Columns `user_id` and `columns`."""
    rows = _at(open_table(snapshots.path, snapshots.kind).scan(), cutoff)
    users = int(collect(rows.select(pl.len()), CPU).item())
    share = user_share(seed)
    if users > MOST_FIT:
        rows = rows.filter(share < MOST_FIT / users)
    found = collect(rows.select("user_id", *columns, share=share), CPU)
    return found.sort("share", "user_id").drop("share")


def assigned(model: GroupModel, snapshots: Snapshots, cutoff: Cutoff) -> pl.DataFrame:
    """`user_id`, `group` (Int8), `churn`, `value`, and the sums `spent` and `active` before the
    cutoff, of everyone there, by user. Memory: a slice of the features, and these columns."""
    parts = [
        frame.select("user_id", *OUTCOMES, **_past(model)).with_columns(
            group=pl.Series(model.assign(frame), dtype=pl.Int8)
        )
        for frame in _slices(model, snapshots, cutoff)
    ]
    return pl.concat(parts).sort("user_id") if parts else _nobody()


def _past(model: GroupModel) -> dict[str, pl.Expr]:
    named = {"spent": value_column(model.spec), "active": activity_column(model.spec)}
    return {
        name: pl.col(column).cast(pl.Float64) if column else pl.lit(None, dtype=pl.Float64)
        for name, column in named.items()
    }


def _slices(model: GroupModel, snapshots: Snapshots, cutoff: Cutoff) -> Iterator[pl.DataFrame]:
    sums = (value_column(model.spec), activity_column(model.spec))
    columns = dict.fromkeys((*model.space.features, *(name for name in sums if name)))
    table: Table = open_table(snapshots.path, snapshots.kind)
    buckets = sorted(int(b) for b in table.partitions("bucket"))
    with progress(f"groups at {cutoff.at:%Y-%m-%d}", len(buckets)) as advance:
        for bucket in buckets:
            rows = _at(table.scan(bucket=bucket), cutoff).select("user_id", *columns, *OUTCOMES)
            yield from collect(rows, CPU).iter_slices(SLICE)
            advance()


def _at(rows: pl.LazyFrame, cutoff: Cutoff) -> pl.LazyFrame:
    return rows.filter(pl.col("cutoff") == pl.lit(cutoff.at, dtype=TIME))


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "user_id": pl.String,
            "churn": pl.Int8,
            "value": pl.Float64,
            "spent": pl.Float64,
            "active": pl.Float64,
            "group": pl.Int8,
        }
    )
