"""Learning a feature spec from the log, before a cutoff and from nothing at or after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import time

import polars as pl

from events.store import EventStore, known_before
from events.users import scan_users, users_path
from features.aggregate import aggregated
from features.attributes import learn_attributes, valid_at
from features.definitions import Definitions, value_amount
from features.eligible import eligibility_measures, eligible_at, with_dates
from features.learn_properties import learn_properties
from features.matured import require_history
from features.measure import references
from features.own import own_file
from features.peers import EDGES_DAYS, band, peer_measures
from features.plan import known_measures, sorted_days
from features.spec import FeatureSpec, Peers
from features.streams import prepare
from features.time import Cutoff, Window, at_instant
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import StoreError
from runtime.settings import Features, Settings
from runtime.tables import exists

CPU = Device("cpu", "a look at the log")


def learn_spec(store: EventStore, before: Cutoff, settings: Settings) -> FeatureSpec:
    """Reads only events before `before`, a bucket at a time, and only users who had one.

    Raises LabelError where the log begins at or after it.
    """
    require_history(store, before)
    definitions = Definitions.of(settings)
    seen = _look(store, before, definitions, settings.project.timezone)
    limits = settings.features
    events = _vocabulary(seen.events, limits.most_events, limits.rare_share)
    channels = _vocabulary(seen.channels, limits.most_channels, limits.rare_share)
    known = store.scan_all().filter(known_before(before.at)).select("user_id").unique()
    names = settings.users.attributes if settings.users else ()
    rows = sum(seen.events.values())
    numbers, categories, deadlines = learn_properties(store, before, rows, limits)
    spec = FeatureSpec(
        windows=tuple(Window(days) for days in sorted(set(limits.windows_days))),
        events=events,
        channels=channels,
        pools_events=len(events) < len(seen.events),
        pools_channels=len(channels) < len(seen.channels),
        has_amount=seen.has_amount,
        has_events=len(seen.events) > 1,
        has_channels=len(seen.channels) > 1,
        has_times=seen.has_times,
        session_gap_minutes=limits.session_gap_minutes,
        timezone=settings.project.timezone,
        attributes=learn_attributes(scan_users(settings), names, known, before.at),
        definitions=definitions,
        set=limits.set,
        chosen=limits.sets.get(limits.set, ()),
        roles=_roles(limits),
        holidays=tuple(sorted(limits.holidays)),
        own=own_file(settings.resolve(limits.own)) if limits.own else None,
        priced=tuple(sorted(seen.priced)),
        numbers=numbers,
        categories=categories,
        deadlines=deadlines,
    )
    require_users(settings, spec)
    return replace(spec, peers=_learn_peers(store, before, spec, settings))


def require_users(settings: Settings, spec: FeatureSpec) -> None:
    """Raises StoreError where the spec or its definitions read a users table that is not there."""
    path = users_path(settings)
    if (spec.attributes or spec.definitions.churn.date_column) and not exists(path):
        raise StoreError(
            f"{path}: there is no users table, which the features need; name it under [users] "
            "and ingest"
        )


def _roles(limits: Features) -> tuple[tuple[str, tuple[str, ...]], ...]:
    named = {"failed_payment": limits.failed_payment, "support": limits.support}
    return tuple((role, events) for role, events in named.items() if events)


def _learn_peers(
    store: EventStore, before: Cutoff, spec: FeatureSpec, settings: Settings
) -> tuple[Peers, ...]:
    """Means over the eligible at the cutoff, by how long ago they were first seen."""
    values = peer_measures(spec)
    if not values or spec.set == "lean":
        return ()
    read = references([*values.values(), band()])
    for name in eligibility_measures(spec.definitions):
        read.setdefault(name, set()).add(None)
    known = known_measures(spec)
    wanted = {name: sorted_days(days) for name, days in read.items() if name in known}
    measures = {name: known[name] for name in wanted}
    sums = {name: value.sum() for name, value in values.items()}
    parts = []
    for bucket in store.buckets:
        rows = prepare(store.scan(bucket).filter(known_before(before.at)), spec)
        people = aggregated(rows, before, spec, measures, wanted)
        users = scan_users(settings, bucket)
        users = None if users is None else valid_at(users, before.at)
        people = with_dates(people.with_columns(cutoff=at_instant(before)), users, spec.definitions)
        scored = people.filter(eligible_at(spec.definitions))
        plan = scored.group_by(band=band()).agg(n=pl.len(), **sums)
        parts.append(collect(plan.sort("band"), CPU))
    total = pl.concat(parts).group_by("band").agg(pl.all().sum())
    by_band = {row["band"]: row for row in total.iter_rows(named=True)}
    return tuple(
        Peers(name, tuple(_mean(by_band.get(b), name) for b in range(len(EDGES_DAYS))))
        for name in values
    )


def _mean(row: dict[str, float] | None, name: str) -> float | None:
    """To two significant digits: the order in which buckets are added leaves no trace, and a few
    late events rarely change the spec, which would cost every bucket its snapshots."""
    return None if row is None else float(f"{row[name] / row['n']:.2g}")


@dataclass
class _Seen:
    events: dict[str, int]
    channels: dict[str, int]
    priced: dict[str, int]
    has_amount: bool = False
    has_times: bool = False


def _look(store: EventStore, before: Cutoff, definitions: Definitions, zone: str) -> _Seen:
    seen = _Seen({}, {}, {})
    local_time = pl.col("ts").dt.convert_time_zone(zone).dt.time()
    has_amount = value_amount(definitions.value).is_not_null().any()
    for bucket in store.buckets:
        rows = store.scan(bucket).filter(known_before(before.at))
        has = rows.select(times=(local_time != time()).any(), amount=has_amount)
        times, amount = collect(has, CPU).row(0)
        seen.has_times |= times
        seen.has_amount |= amount
        _count(rows, "event", seen.events)
        _count(rows, "channel", seen.channels)
        _count(rows.filter(pl.col("amount").is_not_null()), "event", seen.priced)
    return seen


def _count(rows: pl.LazyFrame, column: str, counts: dict[str, int]) -> None:
    counted = rows.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.len())
    for name, count in collect(counted, CPU).iter_rows():
        counts[name] = counts.get(name, 0) + count


def _vocabulary(counts: dict[str, int], most: int, rare_share: float) -> tuple[str, ...]:
    """The most frequent names, ties by name, without those rarer than `rare_share`; sorted by
    name, so that a few late events rarely change the spec."""
    total = sum(counts.values())
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(sorted(n for n in ranked[:most] if counts[n] >= rare_share * total))
