"""How much a user did between two instants, for any number of starts of one user.

Each start lays an edge at the beginning of every column of the table and one at the end. Edges
and rows are sorted together, and what lies between two edges is the difference of the running
count at them. So the work grows with starts times columns plus rows, not with starts times
rows, of which the busiest user alone may have millions of pairs.
"""

from __future__ import annotations

import polars as pl

from retention.cells import Cell

_BEFORE_ALL = -(1 << 62)
_PLACES = ("axis", "tie", "kind")


def between(
    starts: pl.LazyFrame,
    rows: pl.LazyFrame,
    cells: tuple[Cell, ...],
    length: int,
    *,
    with_value: bool,
) -> pl.LazyFrame:
    """who, cell (its position), hits and, if asked for, value: the number of `rows` in each cell
    of each start and the sum of their `value`; where there are any.

    `starts`: who, user, own, anchor. `rows`: user, here, ts and, if asked for, value. `own` and
    `here` lie on one axis, on which a period has the `length`; cell a to b is
    `[own + a, own + b + 1)` of it, and what lies before the anchor itself is left out. Sums are
    differences of running sums of one user: exact to 1e-15 of what that user has in all.
    """
    edges, places = _edges(cells)
    told = [pl.col("value").cast(pl.Float64)] if with_value else []
    untold = [pl.lit(None, pl.Float64).alias("value")] if with_value else []
    laid = pl.concat(
        [
            starts.select(
                "user",
                *untold,
                axis=pl.col("own").cast(pl.Int64) + at * length,
                tie=_instant("anchor") if at == 0 else pl.lit(_BEFORE_ALL, pl.Int64),
                kind=pl.lit(0, pl.Int8),
                who=pl.col("who").cast(pl.UInt32),
                edge=pl.lit(number, pl.Int32),
            )
            for number, at in enumerate(edges)
        ]
        + [
            rows.select(
                "user",
                *told,
                axis=pl.col("here").cast(pl.Int64),
                tie=_instant("ts"),
                kind=pl.lit(1, pl.Int8),
                who=pl.lit(None, pl.UInt32),
                edge=pl.lit(None, pl.Int32),
            )
        ]
    )
    sums = {"hits": pl.col("kind").cast(pl.Int64).cum_sum()}
    if with_value:
        sums["value"] = pl.col("value").fill_null(0).cum_sum().over("user")
    run = laid.sort("user", *_PLACES).with_columns(**sums)
    found = run.filter(pl.col("kind") == 0).sort("who", "edge")
    found = found.select(
        "who",
        *(pl.col(name).shift(-1) - pl.col(name) for name in sums),
        cell=_place(places),
    )
    return found.filter(pl.col("cell").is_not_null() & (pl.col("hits") > 0))


def _instant(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int64)


def _edges(cells: tuple[Cell, ...]) -> tuple[list[int], dict[int, int]]:
    """Where the cells begin or end, and which cell begins at which of these edges."""
    ends = [cell.start if cell.end is None else cell.end + 1 for cell in cells]
    edges = sorted({*(cell.start for cell in cells), *ends})
    return edges, {edges.index(cell.start): place for place, cell in enumerate(cells)}


def _place(places: dict[int, int]) -> pl.Expr:
    """The cell that begins at an edge; null at an edge where none does."""
    if all(edge == place for edge, place in places.items()):
        return pl.when(pl.col("edge") < len(places)).then(pl.col("edge"))
    found = pl.lit(None, pl.Int32)
    for edge, place in places.items():
        found = pl.when(pl.col("edge") == edge).then(pl.lit(place, pl.Int32)).otherwise(found)
    return found
