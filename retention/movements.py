"""The tables of layers, of tags and of the movements between them, from counts by both ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.contract import TIME
from retention.instants import Instants
from runtime.settings_lifecycle import OTHER

MONEY = ("value", "value_recent")
HEAD = ("period", "at")


@dataclass(frozen=True)
class LayerTables:
    """See `retention.layers.Layers`."""

    layers: pl.DataFrame
    tags: pl.DataFrame
    movements: pl.DataFrame
    tag_movements: pl.DataFrame


def layer_tables(
    counts: pl.DataFrame, instants: Instants, layers: Sequence[str], tags: Sequence[str]
) -> LayerTables:
    """`counts`: place, from, layer, tags_from, tags, users, value, value_recent, of every place
    but 0."""
    names = [*layers, OTHER]
    heads = _heads(instants)
    by_layer = counts.select("place", "layer", "users", *MONEY)
    return LayerTables(
        layers=_sizes(by_layer, "layer", names, heads),
        tags=_sizes(_unpacked(counts, tags), "tag", tags, heads, counts),
        movements=_movements(counts, names, heads),
        tag_movements=_tag_movements(counts, tags, heads),
    )


def _heads(instants: Instants) -> pl.DataFrame:
    places = range(1, len(instants))
    return pl.DataFrame(
        {
            "place": pl.Series(places, dtype=pl.Int32),
            "period": pl.Series([instants.days[n] for n in places], dtype=pl.Date),
            "at": pl.Series([instants.at[n] for n in places], dtype=TIME),
            "complete": [instants.complete(n) for n in places],
        }
    )


def _unpacked(counts: pl.DataFrame, tags: Sequence[str]) -> pl.DataFrame:
    """A row for each tag that a row has."""
    parts = [counts.clear().select("place", "users", *MONEY, tag=pl.lit(0, pl.Int32))]
    for bit in range(len(tags)):
        held = counts.filter(_has("tags", bit))
        parts.append(held.select("place", "users", *MONEY, tag=pl.lit(bit, pl.Int32)))
    return pl.concat(parts)


def _has(column: str, bit: int) -> pl.Expr:
    return pl.col(column) // (1 << bit) % 2 == 1


def _sizes(
    counts: pl.DataFrame,
    kind: str,
    names: Sequence[str],
    heads: pl.DataFrame,
    everybody: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every name at every instant, those nobody has too."""
    whole = counts if everybody is None else everybody
    totals = whole.group_by("place").agg(all=pl.col("users").sum())
    sums = counts.group_by("place", kind).agg(pl.col("users", *MONEY).sum())
    grid = heads.join(_places(kind, names), how="cross").join(sums, on=["place", kind], how="left")
    table = grid.join(totals, on="place", how="left").sort("place", kind)
    filled = table.with_columns(pl.col("users", "all").fill_null(0), pl.col(MONEY).fill_null(0.0))
    share = pl.when(pl.col("all") > 0).then(pl.col("users") / pl.col("all"))
    return filled.select(
        *HEAD, pl.col("name").alias(kind), "users", *MONEY, "complete", share=share
    ).select(*HEAD, kind, "users", "share", *MONEY, "complete")


def _places(kind: str, names: Sequence[str]) -> pl.DataFrame:
    codes = pl.Series(range(len(names)), dtype=pl.Int32)
    return pl.DataFrame({kind: codes, "name": pl.Series(names, dtype=pl.String)})


def _movements(counts: pl.DataFrame, names: Sequence[str], heads: pl.DataFrame) -> pl.DataFrame:
    """Every pair that some user moved by, staying included."""
    by = ("place", "from", "layer")
    sums = counts.group_by(by).agg(pl.col("users", "value").sum())
    told = _places("layer", names)
    named = (
        heads.join(sums, on="place")
        .join(told.rename({"name": "to"}), on="layer")
        .join(told.rename({"layer": "from", "name": "origin"}), on="from", how="left")
        .sort(by)
    )
    return named.select(*HEAD, pl.col("origin").alias("from"), "to", "users", "value", "complete")


def _tag_movements(counts: pl.DataFrame, tags: Sequence[str], heads: pl.DataFrame) -> pl.DataFrame:
    rows = heads.join(_places("tag", tags), how="cross")
    for bit in range(len(tags)):
        before, now, users = _has("tags_from", bit), _has("tags", bit), pl.col("users")
        sums = counts.group_by("place").agg(
            pl.lit(bit, pl.Int32).alias("tag"),
            users.filter(now & ~before).sum().alias(f"gained {bit}"),
            users.filter(now & before).sum().alias(f"kept {bit}"),
            users.filter(before & ~now).sum().alias(f"lost {bit}"),
        )
        rows = rows.join(sums, on=["place", "tag"], how="left")
    moved = ("gained", "kept", "lost")
    bits = range(len(tags))
    one = (pl.coalesce([pl.lit(None, pl.Int64), *(f"{m} {b}" for b in bits), 0]) for m in moved)
    table = rows.sort("place", "tag").with_columns(**dict(zip(moved, one, strict=True)))
    users = pl.col("gained") + pl.col("kept")
    return table.select(*HEAD, pl.col("name").alias("tag"), *moved, "complete", users=users)
