"""A funnel's counts summed over the buckets, its events known, its most frequent values found."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from events.names import event_names, require_events
from events.passes import each_bucket, summed
from events.properties import Dimension, told_by_event
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
SAMPLE = 1_000
LOOK = Device("cpu", "a look at the log")


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
    """step (0-based), seconds, users; broken down also `value` and `others`."""
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


def require_told(asked: Asked) -> None:
    """Raises UsageError for a property to hold, or to break down by, that no event of the funnel
    has, with those that they have."""
    question = asked.question
    for option, told, events, called in (
        ("--hold", question.hold, question.events, "event"),
        ("--by", question.by, question.starts, "start"),
    ):
        if told is None or is_told(asked.store, told, events):
            continue
        names = _properties(asked.store, events)
        near = difflib.get_close_matches(told.name, names, n=1)
        known = f"it has {', '.join(names)}" if names else "it has no properties"
        hint = f"did you mean '{near[0]}'?" if near else known
        raise UsageError(f"{option} {told.name}: no {called} of the funnel has it; {hint}")


def is_told(store: EventStore, told: Dimension, events: Iterable[str]) -> bool:
    """Whether one of the events has it; an attribute is told by the users table instead. Most
    logs tell it in the first bucket: only then is one read."""
    if told.kind == "attribute":
        return True
    held = told_by_event(told).is_not_null().any()
    return any(
        collect(store.scan(bucket).filter(is_one_of(events)).select(held), LOOK).item()
        for bucket in store.buckets
    )


def _properties(store: EventStore, events: Iterable[str]) -> list[str]:
    """Names of properties that events of the first bucket with any have."""
    for bucket in store.buckets:
        rows = store.scan(bucket).filter(is_one_of(events), pl.col("properties").is_not_null())
        found = collect(rows.select(pl.col("properties").unique()).head(SAMPLE), LOOK)
        if found.height:
            return sorted({name for text in found["properties"] for name in json.loads(text)})
    return []


def _found(store: EventStore, bucket: int, names: Iterable[str]) -> list[str]:
    events = store.scan(bucket).filter(is_one_of(names)).select(pl.col("event").unique())
    found: list[str] = collect(events, LOOK)["event"].to_list()
    return found
