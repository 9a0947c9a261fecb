"""Early markers: what those who stay and pay do in their first days, and others do not.

Searched on the users who came first, judged on those who came later: see `early_search`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl

from events.names import event_names, require_events
from events.passes import each_bucket, summed
from events.properties import Dimension, told_by_event
from events.store import EventStore
from retention.early_halves import WEEK_DAYS, Halves, halves_of, last_known
from retention.early_markers import EarlyMarkers
from retention.early_plan import (
    KINDS,
    MINUTE_US,
    EarlyQuestion,
    active_plan,
    early_plan,
    newcomers_plan,
)
from retention.early_search import OUTCOMES, TWINS, Half, judge, search
from retention.early_words import Note
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Settings

MOST_VALUES = 50  # of a property that is looked at
_BY = ("later", "busy", "stayed", "paid", "kind", "name", "at_least", "within")


def early_markers(
    settings: Settings,
    store: EventStore,
    device: Device,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> EarlyMarkers:
    """Which early behaviours mark who stays and who pays, as `[early]` asks.

    `since`, `until`: of the users' first events. Raises LabelError where too few users' outcomes
    are known, all of them came on one day, or everybody came to the same; UsageError for an
    event or a property that cannot be meant.
    """
    counts = early_counts(settings, store, device, since=since, until=until, cluster=cluster)
    return markers_in(counts, settings, store)


@dataclass(frozen=True)
class EarlyCounts:
    """`table`: the sums of `early_plan` over all buckets."""

    table: pl.DataFrame
    asked: EarlyQuestion
    halves: Halves
    active_pays: bool = False  # being active is paying: hardly an active event is none that pays

    def half(self, later: int) -> Half:
        return Half.of(self.table.filter(pl.col("later") == later), self.asked.first_days)


def early_counts(
    settings: Settings,
    store: EventStore,
    device: Device,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> EarlyCounts:
    """What early markers are found in. Memory does not grow with the number of users."""
    _check(settings, store, device, cluster)
    asked, halves = _question(settings, store, device, since, until, cluster)
    table = summed(
        lambda events, bucket: early_plan(events, asked, in_order=store.in_order(bucket)),
        store,
        device,
        by=_BY,
        label="early behaviours",
        with_bucket=True,
        cluster=cluster,
    )
    paying = summed(
        lambda events: active_plan(events, asked),
        store,
        device,
        by=("pays",),
        label="active events",
        cluster=cluster,
    )
    return EarlyCounts(table, asked, halves, _mostly_pays(paying))


def _mostly_pays(active: pl.DataFrame) -> bool:
    """Of the sums of `active_plan`."""
    free = active.filter(pl.col("pays") == 0)["rows"].sum()
    return int(free) <= TWINS * int(active["rows"].sum())


def markers_in(counts: EarlyCounts, settings: Settings, store: EventStore) -> EarlyMarkers:
    """Searched in the earlier half, judged by the later one. Raises LabelError."""
    asked, halves, early, later = counts.asked, counts.halves, counts.half(0), counts.half(1)
    outcomes = tuple(name for name in OUTCOMES if early.both_ways(name))
    if not outcomes:
        raise LabelError(
            f"early markers: of {early.users:,} users all or none stay, and all or none pay; "
            "there is nothing to tell them apart by, choose other days under [early]"
        )
    found = search(early, settings.early.least_users)
    return EarlyMarkers(
        asked=asked,
        as_of=store.as_of,
        covered_until=store.covered_until,
        search=halves.search,
        validation=halves.validation,
        unfinished=halves.unfinished,
        searched=found.candidates,
        share=settings.early.share,
        judged=judge(later, found.chosen, settings.early.share),
        outcomes=outcomes,
        only_event=_only_event(counts.table),
        active_pays=counts.active_pays,
        notes=_notes(outcomes, early, asked, halves),
    )


def _only_event(table: pl.DataFrame) -> str | None:
    names = table.filter(pl.col("kind") == KINDS.index("event"))["name"].unique().to_list()
    return str(names[0]) if len(names) == 1 else None


def _notes(
    outcomes: tuple[str, ...], early: Half, asked: EarlyQuestion, halves: Halves
) -> tuple[Note, ...]:
    notes = []
    for name, verb in (("pays", "pay"), ("stays", "stay")):
        if name not in outcomes:
            some = early.hits[name, asked.first_days[0]] > 0
            notes.append(Note(f"{'all' if some else 'none'} {verb}"))
    if asked.date_only:
        notes.append(Note("dates"))
    if halves.crowd:
        notes.append(Note("crowd", halves.crowd, WEEK_DAYS))
    if halves.unfinished:
        days = max(asked.stay[1], asked.pay_until)
        notes.append(Note("unfinished", halves.unfinished, days))
    return tuple(notes)


def _check(settings: Settings, store: EventStore, device: Device, cluster: Cluster) -> None:
    """Raises UsageError."""
    early = settings.early
    if early.pay_events:
        require_events(early.pay_events, event_names(store, device, cluster), "early.pay_events")
    for name in early.properties:
        most = 0
        for part in each_bucket(
            partial(_values_plan, dimension=Dimension(name, "property")),
            store,
            device,
            "property values",
            cluster=cluster,
        ):
            most = max(most, part.item())
        if most == 0:
            raise UsageError(f"early.properties '{name}': no event has it; name one that is there")
        if most > MOST_VALUES:
            raise UsageError(
                f"early.properties '{name}': has more than {MOST_VALUES} values, too many to be "
                "behaviours; name one with fewer"
            )


def _values_plan(events: pl.LazyFrame, dimension: Dimension) -> pl.LazyFrame:
    return events.select(values=told_by_event(dimension).drop_nulls().n_unique())


def _question(
    settings: Settings,
    store: EventStore,
    device: Device,
    since: datetime | None,
    until: datetime | None,
    cluster: Cluster,
) -> tuple[EarlyQuestion, Halves]:
    early, zone = settings.early, settings.project.timezone
    stay = (early.stay_days, early.stay_days + settings.churn.horizon_days)
    pay_until = early.pay_days or stay[1]
    days = max(stay[1], pay_until)
    last = last_known(store, days, zone)
    came = summed(
        lambda events, bucket: newcomers_plan(
            events, since, until, last, zone, in_order=store.in_order(bucket)
        ),
        store,
        device,
        by=("day", "known"),
        label="newcomers",
        with_bucket=True,
        cluster=cluster,
    )
    halves = halves_of(came, early, last, days, store, zone)
    asked = EarlyQuestion(
        activity=settings.activity,
        value=settings.value,
        pay_events=early.pay_events,
        leaving=settings.churn.events if settings.churn.kind == "active" else (),
        properties=early.properties,
        date_only=store.date_only,
        session_gap_us=settings.features.session_gap_minutes * MINUTE_US,
        first_days=early.first_days,
        counts=early.counts,
        stay=stay,
        pay_until=pay_until,
        since=since,
        until=until,
        last=last,
        split=halves.split,
        zone=zone,
    )
    return asked, halves
