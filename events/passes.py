"""One pass over the store: a plan for each bucket, its counts summed or its rows listed.

A bucket holds all of its users' events, so what is distinct within it is distinct at large and
the sum over buckets is exact.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import polars as pl

from events.store import EventStore
from runtime.buckets import frames, map_buckets
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.files import remove_folder
from runtime.pool import available_cores
from runtime.progress import progress
from runtime.threads import in_threads

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]
MERGED_ROWS = 1 << 16  # fewer are not worth merging
BucketPlan = Callable[[pl.LazyFrame, int], pl.LazyFrame]


def summed(
    plan: Plan | BucketPlan,
    store: EventStore,
    device: Device,
    *,
    by: Sequence[str],
    label: str,
    latest: str | None = None,
    with_bucket: bool = False,
    cluster: Cluster = IN_PROCESS,
) -> pl.DataFrame:
    """The plan's rows summed by `by` over all buckets (of column `latest`, the largest), sorted.

    Memory holds the running sums and `each_bucket`'s. `with_bucket`: the plan also takes
    the bucket's number, to read what else lies in buckets.
    """
    held: list[pl.DataFrame] = []
    for part in each_bucket(plan, store, device, label, with_bucket=with_bucket, cluster=cluster):
        held.append(part)
        # Merged when as much has come as there was: a row is merged but a few times.
        if sum(one.height for one in held[1:]) > max(held[0].height, MERGED_ROWS):
            held = [_merged(held, by, latest)]
    assert held, "a store has at least one bucket"
    return _merged(held, by, latest).sort(by)


def _merged(held: list[pl.DataFrame], by: Sequence[str], latest: str | None) -> pl.DataFrame:
    whole = pl.concat(held)
    rest = [name for name in whole.columns if name not in (*by, latest)]
    merged = [pl.col(name).sum() for name in rest]
    if latest is not None:
        merged.append(pl.col(latest).max())
    return whole.group_by(by).agg(merged)


def each_bucket(
    plan: Plan | BucketPlan,
    store: EventStore,
    device: Device,
    label: str,
    *,
    with_bucket: bool = False,
    cluster: Cluster = IN_PROCESS,
) -> Iterator[pl.DataFrame]:
    """Each bucket's result in the order of the buckets. Memory: some buckets for each core."""
    work = partial(_one, plan, store, device, with_bucket)
    if cluster == IN_PROCESS:
        threads = 1 if device.kind == "gpu" else min(available_cores(), len(store.buckets))
        with progress(label, len(store.buckets)) as advance:
            for found in in_threads(work, store.buckets, threads):
                yield found
                advance()
        return
    staging = store.table.path.parent / ".staging" / f"{label.replace(' ', '-')}-{uuid.uuid4().hex}"
    try:
        yield from frames(map_buckets(work, store.buckets, staging, label, cluster))
    finally:
        remove_folder(staging)


def _one(
    plan: Plan | BucketPlan, store: EventStore, device: Device, with_bucket: bool, bucket: int
) -> pl.DataFrame:
    events = store.scan(bucket)
    return collect(plan(events, bucket) if with_bucket else plan(events), device)  # type: ignore[call-arg]
