"""Exact order statistics over all users from sums over buckets, without a list of users.

One pass counts users in narrow bins of their value; a second one counts the distinct values
within the few bins that the wanted ones lie in. The k-th smallest value is then known exactly,
and it is always a value that some user has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import polars as pl

from events.passes import BucketPlan, summed
from events.store import EventStore
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device

BINS_A_FOLD = 512  # bins each time a value grows e times
_ZERO = 1 << 20  # beyond the bin of any number
_BINS = 1 << 22
_KEYS = 16
_SMALLEST = 1e-300
Shares = Mapping[int, Sequence[Fraction]]


@dataclass(frozen=True)
class Edges:
    """`users`: how many have a value. `values`: for each wanted share q the one at rank
    ceil(q * users) from below, so that what is greater is greater than at least a share q of
    all; empty where nobody has a value."""

    users: int
    values: tuple[float, ...]


def order_statistics(
    values: BucketPlan,
    wanted: Shares,
    store: EventStore,
    device: Device,
    label: str,
    cluster: Cluster = IN_PROCESS,
) -> dict[tuple[int, int], Edges]:
    """By (place, key). `values`: a row a user, place, key (Int32 both), value (Float64, null for
    unknown). `wanted`: by key the shares, each above 0 and at most 1."""
    by = ("place", "key", "bin")
    bins = summed(
        lambda events, bucket: binned_plan(values(events, bucket)),
        store,
        device,
        by=by,
        label=label,
        with_bucket=True,
        cluster=cluster,
    )
    sought = _sought(bins, wanted)
    chosen = sorted({one.cell for ranks in sought.values() for one in ranks})
    fine = summed(
        lambda events, bucket: distinct_plan(values(events, bucket), chosen),
        store,
        device,
        by=("cell", "value"),
        label=f"{label} again",
        with_bucket=True,
        cluster=cluster,
    )
    counted = {cell: rows for (cell,), rows in fine.group_by("cell")}
    totals = bins.group_by("place", "key").agg(pl.col("users").sum()).rows()
    return {
        (place, key): Edges(
            users, tuple(_value(counted[one.cell], one.rank) for one in sought[place, key])
        )
        for place, key, users in totals
        if key in wanted
    }


def binned_plan(values: pl.LazyFrame) -> pl.LazyFrame:
    """Counts of one bucket: place, key, bin, users."""
    known = values.filter(pl.col("value").is_not_null())
    cells = known.select(cell=_cell(pl.col("place"), pl.col("key"), _bin()))
    counts = cells.group_by("cell").agg(users=pl.len().cast(pl.Int64))
    whole = (pl.col("cell") + _BINS // 2) // _BINS  # a bin may lie below 0
    told = counts.select(
        "users",
        place=(whole // _KEYS).cast(pl.Int32),
        key=(whole % _KEYS).cast(pl.Int32),
        bin=(pl.col("cell") - whole * _BINS).cast(pl.Int32),
    )
    return told.select("place", "key", "bin", "users")


def distinct_plan(values: pl.LazyFrame, cells: Sequence[int]) -> pl.LazyFrame:
    """Counts of one bucket: cell, value, users; of the values in these cells alone."""
    known = values.filter(pl.col("value").is_not_null())
    return (
        known.select("value", cell=_cell(pl.col("place"), pl.col("key"), _bin()))
        .filter(pl.col("cell").is_in(list(cells)))
        .group_by("cell", "value")
        .agg(users=pl.len().cast(pl.Int64))
    )


def _bin() -> pl.Expr:
    """Rises with the value, Int32: 0 for 0, bins of equal ratio above and, mirrored, below."""
    value = pl.col("value")
    size = (value.abs().clip(_SMALLEST, None).log() * BINS_A_FOLD).floor().cast(pl.Int32) + _ZERO
    return pl.when(value > 0).then(size).when(value < 0).then(-size).otherwise(0)


def _cell(place: pl.Expr, key: pl.Expr, number: pl.Expr) -> pl.Expr:
    return (place.cast(pl.Int64) * _KEYS + key) * _BINS + number


@dataclass(frozen=True)
class _Sought:
    cell: int
    rank: int  # of the value within the cell, from 1


def _sought(bins: pl.DataFrame, wanted: Shares) -> dict[tuple[int, int], list[_Sought]]:
    found: dict[tuple[int, int], list[_Sought]] = {}
    cells = bins.with_columns(cell=_cell(pl.col("place"), pl.col("key"), pl.col("bin")))
    for (place, key), rows in cells.sort("bin").group_by("place", "key", maintain_order=True):
        ends = rows["users"].cum_sum()
        ranks = [ceil(share * int(ends[-1])) for share in wanted.get(int(key), ())]
        chosen = [int(ends.search_sorted(rank)) for rank in ranks]
        found[int(place), int(key)] = [
            _Sought(int(rows["cell"][n]), rank - int(ends[n] - rows["users"][n]))
            for n, rank in zip(chosen, ranks, strict=True)
        ]
    return found


def _value(rows: pl.DataFrame, rank: int) -> float:
    ordered = rows.sort("value")
    place = int(ordered["users"].cum_sum().search_sorted(rank))
    return float(ordered["value"][place])
