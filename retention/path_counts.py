"""The plan behind paths: how often, and by how many users, each path and transition is gone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from events.passes import summed
from events.store import EventStore
from retention.path_keys import BESIDE, Keys, keys_of, path_rows
from retention.path_question import PathQuestion
from retention.path_rows import rows_of
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device

# What a row of the counts is about.
PATH, TRANSITION, NODE, ALL = range(4)
PARTS = (PATH, TRANSITION, NODE, ALL)


def counted(
    store: EventStore,
    device: Device,
    asked: PathQuestion,
    parts: Sequence[int] = PARTS,
    cluster: Cluster = IN_PROCESS,
) -> pl.DataFrame:
    """Sums over all buckets of `counts_plan`. Memory: a row a path that somebody has gone."""
    plan = partial(_bucket, store, device, asked, tuple(parts))
    return summed(
        plan,
        store,
        device,
        by=("part", "step", *keys_of(asked).names),
        label="paths",
        with_bucket=True,
        cluster=cluster,
    )


def _bucket(
    store: EventStore,
    device: Device,
    asked: PathQuestion,
    parts: Sequence[int],
    events: pl.LazyFrame,
    bucket: int,
) -> pl.LazyFrame:
    return counts_plan(pairs_in(store, device, asked, events, bucket), asked, parts)


def pairs_in(
    store: EventStore, device: Device, asked: PathQuestion, events: pl.LazyFrame, bucket: int
) -> pl.LazyFrame:
    """`pairs_plan` of a bucket."""
    rows = rows_of(events, store, bucket, asked.kinds, device, asked.since, asked.until)
    return pairs_plan(rows, asked)


def pairs_plan(rows: pl.LazyFrame, asked: PathQuestion) -> pl.LazyFrame:
    """Each user's different paths, once: number, key0..., count (Int64). In no order."""
    return by_user(path_rows(rows, asked), keys_of(asked))


def counts_plan(
    pairs: pl.LazyFrame, asked: PathQuestion, parts: Sequence[int] = PARTS
) -> pl.LazyFrame:
    """Counts of one bucket from `pairs_plan`: part, step, key0..., count (of paths), users.

    PATH: a whole path by its key. TRANSITION: from the node at a place to the one at the next,
    `key0` = from * base + to. NODE: at a place. ALL: any path. `step`: the place, 0 for the
    first event read.
    """
    keys = keys_of(asked)
    whole = {"step": _place(0), "key0": pl.lit(0, keys.dtype)}
    made = {
        PATH: lambda: pairs.with_columns(step=_place(0)),
        TRANSITION: lambda: _transitions(pairs, keys, asked),
        NODE: lambda: _nodes(pairs, keys, asked),
        ALL: lambda: pairs.select("number", "count", **whole),
    }
    return pl.concat([_counted(made[part](), part, keys) for part in parts])


def by_user(paths: pl.LazyFrame, keys: Keys) -> pl.LazyFrame:
    """Each user's different paths, once: number, key0..., count."""
    if not keys.is_small:
        counted = paths.group_by("number", *keys.names).agg(count=pl.len())
        return counted.with_columns(pl.col("count").cast(pl.Int64))
    both = paths.select(both=pl.col("number").cast(pl.Int64) * BESIDE + pl.col("key0"))
    # Whole numbers that lie by user already are sorted in a third of the time that hashing them
    # takes; by one thread each, as buckets are what is worked on side by side.
    counted = (
        both.sort("both", multithreaded=False)
        .group_by("both", maintain_order=True)
        .agg(count=pl.len())
    )
    return counted.select(
        number=(pl.col("both") // BESIDE).cast(pl.Int32),
        key0=(pl.col("both") % BESIDE).cast(keys.dtype),
        count=pl.col("count").cast(pl.Int64),
    )


def _counted(rows: pl.LazyFrame, part: int, keys: Keys) -> pl.LazyFrame:
    """Occurrences and distinct users by step and key; a user may have several rows of one."""
    names = keys.names if part == PATH else keys.names[:1]
    if part != PATH:
        rows = rows.group_by("number", "step", *names).agg(pl.col("count").sum())
    found = rows.group_by("step", *names).agg(
        pl.col("count").sum().cast(pl.Int64), users=pl.len().cast(pl.Int64)
    )
    unused = [pl.lit(0, keys.dtype).alias(name) for name in keys.names if name not in names]
    found = found.with_columns(pl.lit(part, pl.Int8).alias("part"), *unused)
    return found.select("part", "step", *keys.names, "count", "users")


def _transitions(pairs: pl.LazyFrame, keys: Keys, asked: PathQuestion) -> pl.LazyFrame:
    return pl.concat(
        [
            pairs.filter(_is_event(keys.digit(place), asked)).select(
                "number",
                "count",
                step=_place(place),
                key0=transition_code(keys, place, asked),
            )
            for place in range(asked.steps)
        ]
    )


def transition_code(keys: Keys, place: int, asked: PathQuestion) -> pl.Expr:
    """From and to, in the order of time, of the nodes at a place and the next one read."""
    here, other = keys.digit(place), keys.digit(place + 1)
    first, second = (other, here) if asked.backward else (here, other)
    return (first * keys.base + second).cast(keys.dtype)


def _nodes(pairs: pl.LazyFrame, keys: Keys, asked: PathQuestion) -> pl.LazyFrame:
    return pl.concat(
        [
            pairs.filter(_is_event(keys.digit(place), asked)).select(
                "number", "count", step=_place(place), key0=keys.digit(place).cast(keys.dtype)
            )
            for place in range(asked.steps)
        ]
    )


def _is_event(digit: pl.Expr, asked: PathQuestion) -> pl.Expr:
    return (digit > 0) & (digit <= asked.nodes.rest)


def _place(place: int) -> pl.Expr:
    return pl.lit(place, pl.Int32)
