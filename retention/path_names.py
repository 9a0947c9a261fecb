"""How often each event occurs in a range of the log: the vocabulary that paths are told in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import polars as pl

from events.names import names_plan
from events.passes import summed
from events.store import EventStore
from retention.anchors import within
from retention.path_rows import count_names
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device


def names_in(
    store: EventStore,
    device: Device,
    since: datetime | None,
    until: datetime | None,
    cluster: Cluster = IN_PROCESS,
) -> Mapping[str, int]:
    """Rows of each event in `[since, until)` before the as-of."""
    plan = partial(_counts, store, device, since, until)
    found = summed(
        plan, store, device, by=("event",), label="event names", with_bucket=True, cluster=cluster
    )
    return dict(found.iter_rows())


def _counts(
    store: EventStore,
    device: Device,
    since: datetime | None,
    until: datetime | None,
    events: pl.LazyFrame,
    bucket: int,
) -> pl.LazyFrame:
    """Off the dictionaries where no row of the bucket is to be left out."""
    if device.kind == "cpu" and since is None and until is None:
        found = count_names(store, bucket)
        if found is not None:
            return found.lazy()
    return names_plan(events.filter(within("ts", since, until)))
