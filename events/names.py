"""The names of events that a log has, and a word to who asks for another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import polars as pl

from events.passes import summed
from events.store import EventStore
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError

SHOWN = 12
NEAREST = 3


def event_names(
    store: EventStore, device: Device, cluster: Cluster = IN_PROCESS
) -> Mapping[str, int]:
    """Rows of each event before the as-of, the most frequent first."""
    counts = summed(names_plan, store, device, by=("event",), label="event names", cluster=cluster)
    ordered = counts.sort("rows", "event", descending=[True, False])
    return dict(ordered.iter_rows())


def names_plan(events: pl.LazyFrame) -> pl.LazyFrame:
    """Counts of one bucket: event, rows."""
    return events.group_by("event").agg(rows=pl.len().cast(pl.Int64))


def require_events(wanted: Iterable[str], names: Mapping[str, int], called: str) -> None:
    """Raises UsageError for the first that the log has not, with the nearest that it has.
    `called`: what it is in the question, "step" or "exclusion"."""
    for name in wanted:
        if name in names:
            continue
        near = difflib.get_close_matches(name, list(names), n=NEAREST)
        known = ", ".join(list(names)[:SHOWN])
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {known}"
        raise UsageError(f"{called} '{name}': no such event in the log; {hint}")
