"""The users behind an early marker, written a bucket at a time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from events.passes import each_bucket
from events.store import EventStore
from retention.early_markers import EarlyMarkers
from retention.early_plan import Candidate, EarlyQuestion, done_by_plan
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.lists import write_list


def write_users(
    found: EarlyMarkers,
    number: int,
    path: Path,
    store: EventStore,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Writes the users of validation with marker `number` (from 1); returns how many, which is
    the marker's `with_users`. user_id, first, reached (when it had been done so often), outcome
    (whether it came): as many of them true as `with_hits`. Raises UsageError, OutputError."""
    markers = found.markers
    if not 1 <= number <= len(markers):
        raise UsageError(
            f"--marker {number}: {len(markers)} markers were kept; "
            + (f"choose 1 to {len(markers)}" if markers else "there is none to list")
        )
    parts = each_bucket(
        partial(
            _listed, asked=found.asked, marker=markers[number - 1].chosen.candidate, store=store
        ),
        store,
        device,
        "users of the marker",
        with_bucket=True,
        cluster=cluster,
    )
    return write_list(path, parts)


def _listed(
    events: pl.LazyFrame, bucket: int, asked: EarlyQuestion, marker: Candidate, store: EventStore
) -> pl.LazyFrame:
    return done_by_plan(events, asked, marker, in_order=store.in_order(bucket))
