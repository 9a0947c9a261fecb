"""What there is to be counted: the channels that are told apart, and the properties."""

from __future__ import annotations

import polars as pl

from events.daily import Asked, place_of_row
from events.passes import summed
from events.properties import names_in
from events.store import CPU, EventStore
from runtime.clock import DAY
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings

MOST_CHANNELS = 20
MOST_PROPERTIES = 40
SAMPLED_ROWS = 200_000  # of which the properties are looked at


def asked_of(
    settings: Settings,
    store: EventStore,
    device: Device = CPU,
    recent_days: int | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Asked:
    """What to count of this log; with `recent_days`, of its last so many days."""
    return Asked(
        zone=settings.project.timezone,
        channels=_channels(store, device, cluster),
        properties=_properties(store),
        activity=settings.activity,
        late_hours=settings.quality.late_hours,
        arrivals=store.has_arrivals,
        repeats=not store.date_only,
        since=None if recent_days is None else store.covered_until - recent_days * DAY,
    )


def channels_plan(events: pl.LazyFrame) -> pl.LazyFrame:
    """Counts of one bucket: channel, rows."""
    return events.group_by(channel=place_of_row()).agg(rows=pl.len().cast(pl.Int64))


def _channels(store: EventStore, device: Device, cluster: Cluster) -> tuple[str, ...]:
    """The most frequent ones; none where there are not two."""
    found = summed(channels_plan, store, device, by=("channel",), label="channels", cluster=cluster)
    most = found.sort("rows", "channel", descending=[True, False]).head(MOST_CHANNELS)
    return tuple(sorted(most["channel"])) if most.height > 1 else ()


def _properties(store: EventStore) -> tuple[str, ...]:
    """The names in a sample of rows that depends on neither buckets nor order: those of some
    users, by their hash; the most frequent where they are very many."""
    rows = store.table.rows()
    one_in = max(rows // SAMPLED_ROWS, 1)
    counts: dict[str, int] = {}
    for bucket in store.buckets:
        plan = store.scan(bucket).filter(pl.col("properties").is_not_null())
        chosen = plan.filter(pl.col("user_id").hash(seed=0) % one_in == 0)
        for name, count in names_in(chosen).items():
            counts[name] = counts.get(name, 0) + count
    most = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_PROPERTIES]
    return tuple(sorted(most))
