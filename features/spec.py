"""What the features of a log are: everything learned from it before a cutoff, and the definitions.

A FeatureSpec says which columns a feature plan has and how they are computed. It is learned
only from events before the cutoff it is learned at, so nothing later can change a model's
columns, and it is kept with the model, so scoring computes what training saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from features.attributes import Attribute
from features.definitions import Definitions
from features.naming import slugs
from features.properties import Category, Deadline, Number
from features.time import Window
from runtime.files import digest_of
from runtime.settings import Activity

PLAIN = (
    "pools_events",
    "pools_channels",
    "has_amount",
    "has_events",
    "has_channels",
    "has_times",
    "session_gap_minutes",
    "timezone",
    "set",
)


@dataclass(frozen=True)
class Peers:
    """What users first seen as long ago do in a month: a mean for each band of tenure, None
    for a band without anybody."""

    name: str
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class OwnFile:
    """The Python file of a project's own features, and the SHA-256 of its bytes."""

    path: str
    digest: str


@dataclass(frozen=True)
class FeatureSpec:
    """`events` and `channels` are the names with columns of their own, sorted;
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
    set: str = "default"
    chosen: tuple[str, ...] = ()  # the patterns of a set of the project's own
    roles: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a role and the events that have it
    holidays: tuple[date, ...] = ()
    peers: tuple[Peers, ...] = ()
    own: OwnFile | None = None
    priced: tuple[str, ...] = ()  # the kinds of event that carry amounts, of value or not; sorted
    numbers: tuple[Number, ...] = ()  # properties, sorted by name
    categories: tuple[Category, ...] = ()  # the same
    deadlines: tuple[Deadline, ...] = ()  # the same

    @property
    def activity(self) -> Activity:
        return self.definitions.activity

    @property
    def unpaid(self) -> tuple[str, ...]:
        """The kinds of event with amounts that are no value: prices that were looked at."""
        counted = self.definitions.value.events
        return () if counted is None else tuple(k for k in self.priced if k not in counted)

    @property
    def month(self) -> Window | None:
        """The window nearest to 30 days: the one for counts by kind of event."""
        return min(self.windows, key=lambda w: (abs(w.days - 30), w.days), default=None)

    @property
    def week(self) -> Window | None:
        """The window nearest to 7 days."""
        return min(self.windows, key=lambda w: (abs(w.days - 7), w.days), default=None)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """Columns of the event contract that only roles and a project's own features read."""
        if self.own is not None:
            return ("event", "channel", "event_id", "source", "properties")
        return ("event",) if self.roles else ()

    @cached_property
    def event_slugs(self) -> dict[str, str]:
        return slugs(self.events)

    @cached_property
    def channel_slugs(self) -> dict[str, str]:
        return slugs(self.channels)

    @cached_property
    def number_slugs(self) -> tuple[str, ...]:
        return tuple(slugs(number.name for number in self.numbers).values())

    @property
    def reads_properties(self) -> bool:
        return bool(self.numbers or self.categories or self.deadlines)

    @cached_property
    def deadline_slugs(self) -> tuple[str, ...]:
        return tuple(slugs(deadline.name for deadline in self.deadlines).values())

    @cached_property
    def category_slugs(self) -> dict[tuple[str, str | None], str]:
        """Of each category, and of each of its values."""
        named = {(c.name, value): value for c in self.categories for value in (None, *c.values)}
        # The separator keeps ("a", "b c") and ("a b", "c") two labels; slugs() numbers their names.
        labels = [name if value is None else f"{name}\0is\0{value}" for name, value in named]
        return dict(zip(named, slugs(labels, taken=()).values(), strict=True))

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
            "chosen": list(self.chosen),
            "priced": list(self.priced),
            "categories": {c.name: list(c.values) for c in self.categories},
            "deadlines": {deadline.name: deadline.layout for deadline in self.deadlines},
            "numbers": {n.name: [n.decimal, n.least, n.most] for n in self.numbers},
            "roles": {role: list(events) for role, events in self.roles},
            "holidays": [day.isoformat() for day in self.holidays],
            "peers": {p.name: list(p.means) for p in self.peers},
            "own": {"path": self.own.path, "digest": self.own.digest} if self.own else None,
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
            chosen=tuple(raw["chosen"]),
            priced=tuple(raw["priced"]),
            categories=tuple(
                Category(name, tuple(values)) for name, values in raw["categories"].items()
            ),
            deadlines=tuple(Deadline(*one) for one in raw["deadlines"].items()),
            numbers=tuple(Number(name, *held) for name, held in raw["numbers"].items()),
            roles=tuple((role, tuple(events)) for role, events in raw["roles"].items()),
            holidays=tuple(date.fromisoformat(day) for day in raw["holidays"]),
            peers=tuple(Peers(name, tuple(means)) for name, means in raw["peers"].items()),
            own=OwnFile(**raw["own"]) if raw["own"] else None,
            **plain,
        )

    @property
    def digest(self) -> str:
        """Depends on what the project's own file holds, not on where it lies."""
        said = self.to_dict()
        return digest_of(said | {"own": self.own.digest if self.own else None})
