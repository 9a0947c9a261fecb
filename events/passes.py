"""One pass over the store: a plan for each bucket, its counts summed.

A bucket holds all of its users' events, so what is distinct within it is distinct at large and
the sum over buckets is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from events.store import EventStore
from runtime.collect import collect
from runtime.device import Device
from runtime.progress import progress


def summed(
    plan: Callable[[pl.LazyFrame], pl.LazyFrame],
    store: EventStore,
    device: Device,
    *,
    by: Sequence[str],
    label: str,
    latest: str | None = None,
) -> pl.DataFrame:
    """The plan's rows summed by `by` over all buckets (of column `latest`, the largest), sorted.

    Memory holds the running sums and one bucket's result.
    """
    total: pl.DataFrame | None = None
    with progress(label, len(store.buckets)) as advance:
        for bucket in store.buckets:
            part = collect(plan(store.scan(bucket)), device)
            whole = part if total is None else pl.concat([total, part])
            rest = [name for name in whole.columns if name not in (*by, latest)]
            merged = [pl.col(name).sum() for name in rest]
            if latest is not None:
                merged.append(pl.col(latest).max())
            total = whole.group_by(by).agg(merged)
            advance()
    assert total is not None, "a store has at least one bucket"
    return total.sort(by)
