"""The event store as the floors above see it: one version, read a bucket at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any

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
    is_sample: bool = False  # of its buckets the first alone

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

    def first_buckets(self, count: int) -> EventStore:
        """The same with the users of its first buckets alone: a random sample of them."""
        return replace(self, buckets=self.buckets[:count], is_sample=count < len(self.buckets))

    def as_known_at(self, then: datetime) -> EventStore:
        """The same as it was at an earlier instant, up to which it was complete."""
        return replace(self, as_of=then, covered_until=then)

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
    buckets = tuple(sorted(int(b) for b in table.partitions("bucket")))
    seen = _seen(table, buckets, as_of, zone)
    if seen["last"] is None:
        before = f" before {as_of.isoformat()}" if as_of else ""
        raise StoreError(f"{table.path}: holds no event{before}; name a later --as-of")
    day_end = end_of_local_day(seen["last"], zone)
    if as_of is None:
        as_of = day_end if seen["date_only"] else seen["last"] + MICROSECOND
        if seen["arrived"] is not None:
            as_of = max(as_of, seen["arrived"] + MICROSECOND)
    covered = min(as_of, day_end)
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


def _seen(
    table: Table, buckets: Sequence[int], as_of: datetime | None, zone: str
) -> dict[str, Any]:
    """The first and last instant, the last arrival, and whether all lie at a local midnight: a
    bucket at a time, so that memory does not grow with the log."""
    seen: dict[str, Any] = {"first": None, "last": None, "arrived": None, "date_only": True}
    midnight = (pl.col("ts").dt.convert_time_zone(zone).dt.time() == time()).all()
    for bucket in buckets:
        plan = table.scan(bucket=bucket)
        if as_of is not None:
            plan = plan.filter(known_before(as_of))
        found = collect(
            plan.select(
                first=pl.col("ts").min(),
                last=pl.col("ts").max(),
                arrived=pl.col("received").max(),
                date_only=midnight if seen["date_only"] else pl.lit(value=False),
            ),
            CPU,
        ).row(0, named=True)
        for name, better in (("first", min), ("last", max), ("arrived", max)):
            known = [at for at in (seen[name], found[name]) if at is not None]
            seen[name] = better(known) if known else None
        seen["date_only"] &= found["date_only"]
    return seen


__all__ = ["BUCKETS", "ROW_ORDER", "EventStore", "events_path", "open_store"]
