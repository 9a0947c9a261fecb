"""A funnel's counts summed over the buckets, its events known, its most frequent values found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from events.names import event_names, require_events
from events.passes import each_bucket, summed
from events.store import EventStore
from events.users import scan_users, users_path
from retention.funnel_instants import is_one_of
from retention.funnel_plan import BY, Bucket, counts_plan, users_plan, values_plan
from retention.funnel_value import VALUE
from retention.steps import FunnelQuestion
from runtime.cluster import Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import StoreError, UsageError
from runtime.settings import Settings

MOST_VALUES = 100_000


@dataclass(frozen=True)
class Asked:
    """A question and where to put it."""

    settings: Settings
    store: EventStore
    device: Device
    question: FunnelQuestion
    cluster: Cluster

    def bucket(self, events: pl.LazyFrame, number: int) -> Bucket:
        in_order = self.store.in_order(number)
        return Bucket(events, in_order, self._users(number), self.device)

    def _users(self, number: int) -> pl.LazyFrame | None:
        """Raises StoreError where an attribute is asked for and there is no users table."""
        by = self.question.by
        if by is None or by.kind != "attribute":
            return None
        users = scan_users(self.settings, number, self.store.parted_in)
        if users is None:
            raise StoreError(
                f"{users_path(self.settings)}: there is no users table to tell '{by.name}'; "
                "run 'holdfast ingest'"
            )
        return users


def counted(asked: Asked, top: tuple[str, ...] = ()) -> pl.DataFrame:
    """step (0-based), seconds, users; broken down also `value` and `others`. Raises UsageError
    for an event that the log has not."""
    require_known(asked)
    by = BY if asked.question.by is not None else ()

    def plan(events: pl.LazyFrame, number: int) -> pl.LazyFrame:
        return counts_plan(asked.bucket(events, number), asked.question, top)

    return summed(
        plan,
        asked.store,
        asked.device,
        by=(*by, "step", "seconds"),
        label="funnel",
        with_bucket=True,
        cluster=asked.cluster,
    )


def top_values(asked: Asked, top: int) -> tuple[str, ...]:
    """The values that most users start with, ties by name; none where there is no breakdown.

    Raises UsageError where there are more than MOST_VALUES, which no table is for.
    """
    if asked.question.by is None:
        return ()
    require_known(asked)

    def plan(events: pl.LazyFrame, number: int) -> pl.LazyFrame:
        return values_plan(asked.bucket(events, number), asked.question)

    found = summed(
        plan,
        asked.store,
        asked.device,
        by=(VALUE,),
        label="values",
        with_bucket=True,
        cluster=asked.cluster,
    ).filter(pl.col(VALUE).is_not_null())
    if found.height > MOST_VALUES:
        raise UsageError(
            f"--by {asked.question.by.name}: more than {MOST_VALUES:,} values; name something "
            "that users share"
        )
    ranked = found.sort(["users", VALUE], descending=[True, False])
    return tuple(ranked[VALUE].head(top).to_list())


def listed(asked: Asked, top: tuple[str, ...] = ()) -> Iterator[pl.DataFrame]:
    """Each bucket's users who start; see `users_plan`."""

    def plan(events: pl.LazyFrame, number: int) -> pl.LazyFrame:
        return users_plan(asked.bucket(events, number), asked.question, top).sort("user_id")

    yield from each_bucket(
        plan, asked.store, asked.device, "users", with_bucket=True, cluster=asked.cluster
    )


def require_known(asked: Asked) -> None:
    """Raises UsageError for a step or an exclusion that is no event of the log, with the nearest
    that are. Most logs show all their events in the first bucket: only then is one read."""
    steps = asked.question.events
    exclusions = tuple(exclusion.event for exclusion in asked.question.exclude)
    missing = {*steps, *exclusions}
    for bucket in asked.store.buckets:
        missing -= set(_found(asked.store, bucket, missing))
        if not missing:
            return
    names = event_names(asked.store, asked.device, asked.cluster)
    require_events(steps, names, "step")
    require_events(exclusions, names, "exclusion")


def _found(store: EventStore, bucket: int, names: Iterable[str]) -> list[str]:
    events = store.scan(bucket).filter(is_one_of(names)).select(pl.col("event").unique())
    found: list[str] = collect(events, Device("cpu", "a look at the names"))["event"].to_list()
    return found
