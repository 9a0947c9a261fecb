"""What the features of a log are: everything learned from it before a cutoff, and the definitions.

A FeatureSpec says which columns a feature plan has and how they are computed. It is learned
only from events before the cutoff it is learned at, so nothing later can change a model's
columns, and it is kept with the model, so scoring computes what training saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import cached_property
from typing import Any

import polars as pl

from events.store import EventStore
from events.users import scan_users
from features.attributes import Attribute, learn_attributes
from features.definitions import Definitions, value_amount
from features.naming import slugs
from features.time import Cutoff, Window
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import digest_of
from runtime.settings import Activity, Settings

CPU = Device("cpu", "a look at the log")
PLAIN = (
    "pools_events",
    "pools_channels",
    "has_amount",
    "has_events",
    "has_channels",
    "has_times",
    "session_gap_minutes",
    "timezone",
)


@dataclass(frozen=True)
class FeatureSpec:
    """`events` and `channels` are the names with columns of their own, most frequent first;
    `pools_*` says that rarer ones were seen and share the column 'other'."""

    windows: tuple[Window, ...]
    events: tuple[str, ...]
    channels: tuple[str, ...]
    pools_events: bool
    pools_channels: bool
    has_amount: bool
    has_events: bool  # more than one kind of event
    has_channels: bool  # more than one channel
    has_times: bool  # some event lies elsewhere than at a local midnight
    session_gap_minutes: int
    timezone: str
    definitions: Definitions
    attributes: tuple[Attribute, ...] = ()

    @property
    def activity(self) -> Activity:
        return self.definitions.activity

    @property
    def month(self) -> Window | None:
        """The window nearest to 30 days: the one for counts by kind of event."""
        return min(self.windows, key=lambda w: (abs(w.days - 30), w.days), default=None)

    @cached_property
    def event_slugs(self) -> dict[str, str]:
        return slugs(self.events)

    @cached_property
    def channel_slugs(self) -> dict[str, str]:
        return slugs(self.channels)

    def to_dict(self) -> dict[str, Any]:
        return {
            "windows_days": [window.days for window in self.windows],
            "events": list(self.events),
            "channels": list(self.channels),
            **{name: getattr(self, name) for name in PLAIN},
            "attributes": [
                {"name": a.name, "kind": a.kind, "categories": list(a.categories)}
                for a in self.attributes
            ],
            "definitions": self.definitions.to_dict(),
        }

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> FeatureSpec:
        plain = {name: raw[name] for name in PLAIN}
        return FeatureSpec(
            windows=tuple(Window(days) for days in raw["windows_days"]),
            events=tuple(raw["events"]),
            channels=tuple(raw["channels"]),
            attributes=tuple(
                Attribute(a["name"], a["kind"], tuple(a["categories"])) for a in raw["attributes"]
            ),
            definitions=Definitions.from_dict(raw["definitions"]),
            **plain,
        )

    @property
    def digest(self) -> str:
        return digest_of(self.to_dict())


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
    known = store.scan_all().filter(pl.col("ts") < before.at).select("user_id").unique()
    names = settings.users.attributes if settings.users else ()
    return FeatureSpec(
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
    )


def require_history(store: EventStore, cutoff: Cutoff) -> None:
    """Raises LabelError where no event lies before the cutoff."""
    if cutoff.at <= store.first:
        raise LabelError(
            f"cutoff {show(cutoff.at)}: no event lies before it; the log begins at "
            f"{show(store.first)}, choose a later instant"
        )


@dataclass
class _Seen:
    events: dict[str, int]
    channels: dict[str, int]
    has_amount: bool = False
    has_times: bool = False


def _look(store: EventStore, before: Cutoff, definitions: Definitions, zone: str) -> _Seen:
    seen = _Seen({}, {})
    local_time = pl.col("ts").dt.convert_time_zone(zone).dt.time()
    amounts = value_amount(definitions.value).is_not_null().any()
    for bucket in store.buckets:
        rows = store.scan(bucket).filter(pl.col("ts") < before.at)
        flags = collect(rows.select(amounts, times=(local_time != time()).any()), CPU).row(0)
        seen.has_amount |= flags[0]
        seen.has_times |= flags[1]
        _count(rows, "event", seen.events)
        _count(rows, "channel", seen.channels)
    return seen


def _count(rows: pl.LazyFrame, column: str, counts: dict[str, int]) -> None:
    counted = rows.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.len())
    for name, count in collect(counted, CPU).iter_rows():
        counts[name] = counts.get(name, 0) + count


def _vocabulary(counts: dict[str, int], most: int, rare_share: float) -> tuple[str, ...]:
    """The most frequent names, ties by name, without those rarer than `rare_share`."""
    total = sum(counts.values())
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(name for name in ranked[:most] if counts[name] >= rare_share * total)
