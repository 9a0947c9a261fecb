"""The event store as the floors above see it: one version, read a bucket at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

import polars as pl

from events.contract import EVENTS, ROW_ORDER
from runtime.clock import MICROSECOND, end_of_local_day
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import StoreError
from runtime.settings import Settings
from runtime.tables import Table, open_table

CPU = Device("cpu", "a look at the store")
BUCKETS = "holdfast.buckets"  # the number of them, as recorded with each version of the log


@dataclass(frozen=True)
class EventStore:
    """One version of the events table, seen as of an instant: nothing that happened, or became
    known, at or after it is read."""

    table: Table
    buckets: tuple[int, ...]
    as_of: datetime
    first: datetime
    covered_until: datetime  # up to here the log is complete: as_of, or the end of its last day
    date_only: bool  # every event lies at a local midnight
    parted_in: int | None = None  # the number of buckets users are hashed to
    has_arrivals: bool = False  # some row tells when it became known

    @property
    def version(self) -> int:
        return self.table.version

    def scan(self, bucket: int) -> pl.LazyFrame:
        """Events of a bucket known before `as_of`, in ROW_ORDER's columns, not necessarily
        sorted."""
        return self.table.scan(bucket=bucket).filter(known_before(self.as_of))

    def in_order(self, bucket: int) -> bool:
        """Whether the bucket's rows lie in ROW_ORDER, as those of each file do."""
        return self.table.in_one_file(bucket=bucket)

    def scan_all(self) -> pl.LazyFrame:
        return self.table.scan().filter(known_before(self.as_of))


def known_before(as_of: datetime) -> pl.Expr:
    """Whether an event had happened and was known: its arrival, if told, is earlier too."""
    arrived = pl.col("received").is_null() | (pl.col("received") < as_of)
    return (pl.col("ts") < as_of) & arrived


def events_path(settings: Settings) -> Path:
    return settings.store / "events"


def open_store(settings: Settings, as_of: datetime | None = None) -> EventStore:
    """The newest version as of `as_of` (default: just after the last event, and after the last
    arrival where the log tells arrivals).

    Where every event before `as_of` lies at a local midnight the log has dates only; its last
    day is then complete, and the default as-of is the midnight after it. Raises StoreError.
    """
    table = open_table(events_path(settings), EVENTS, [BUCKETS])
    zone = settings.project.timezone
    plan = table.scan()
    if as_of is not None:
        plan = plan.filter(known_before(as_of))
    local = pl.col("ts").dt.convert_time_zone(zone)
    seen = collect(
        plan.select(
            first=pl.col("ts").min(),
            last=pl.col("ts").max(),
            arrived=pl.col("received").max(),
            date_only=(local.dt.time() == time()).all(),
        ),
        CPU,
    ).row(0, named=True)
    if seen["last"] is None:
        before = f" before {as_of.isoformat()}" if as_of else ""
        raise StoreError(f"{table.path}: holds no event{before}; name a later --as-of")
    day_end = end_of_local_day(seen["last"], zone)
    if as_of is None:
        as_of = day_end if seen["date_only"] else seen["last"] + MICROSECOND
        if seen["arrived"] is not None:
            as_of = max(as_of, seen["arrived"] + MICROSECOND)
    covered = min(as_of, day_end)
    buckets = tuple(sorted(int(b) for b in table.partitions("bucket")))
    return EventStore(
        table,
        buckets,
        as_of,
        first=seen["first"],
        covered_until=covered,
        date_only=seen["date_only"],
        parted_in=table.numbers[BUCKETS],
        has_arrivals=seen["arrived"] is not None,
    )


__all__ = ["BUCKETS", "ROW_ORDER", "EventStore", "events_path", "open_store"]
