"""The catalogue as a table: every feature of a spec with all that is declared of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from events.store import open_store
from features.family import Column
from features.learn import learn_spec
from features.measure import Measure, references
from features.plan import FAMILIES, VERSION, columns_of, known_measures
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.settings import Settings

# What a column of the prepared rows is made of; all others come from the time of the event.
MADE_OF = {
    "kind": "event",
    "active": "event",
    "ends": "event",
    "event": "event",
    "channel_code": "channel",
    "channel": "channel",
    "amount": "amount",
    "first_amount": "amount",
    "price": "amount",
    "properties": "properties",
    "event_id": "event_id",
    "source": "source",
}
USERS = "user: "


@dataclass(frozen=True)
class Entry:
    """`inputs`: columns of the event contract and of the users table; `formula`: the expression
    over measures that computes it, as Polars shows it."""

    name: str
    family: str
    description: str
    unit: str
    window_days: int | None
    inputs: tuple[str, ...]
    formula: str


@dataclass(frozen=True)
class Catalogue:
    set: str
    version: int
    spec: str
    features: tuple[Entry, ...]


def catalogue(settings: Settings, as_of: datetime | None) -> Catalogue:
    """The features as of an instant: what is learned from the log is learned before it.

    Raises StoreError, LabelError, SettingsError.
    """
    store = open_store(settings, as_of)
    spec = learn_spec(store, Cutoff(store.as_of), settings)
    return Catalogue(spec.set, VERSION, spec.digest, tuple(entries(spec)))


def entries(spec: FeatureSpec) -> list[Entry]:
    """In the plan's order."""
    measures = known_measures(spec)
    kept = {c.feature.name for c in columns_of(spec)}
    return [
        _entry(family.__name__, column, measures)
        for family in FAMILIES
        for column in family(spec).columns
        if column.feature.name in kept
    ]


def _entry(family: str, column: Column, measures: Mapping[str, Measure]) -> Entry:
    feature = column.feature
    read = references([column.value])
    inputs = {name for each in read if each in measures for name in _made_of(measures[each])}
    inputs |= {f"users.{name.removeprefix(USERS)}" for name in read if name.startswith(USERS)}
    return Entry(
        feature.name,
        family,
        feature.description,
        feature.unit,
        feature.window_days,
        tuple(sorted(inputs)),
        str(column.value),
    )


def _made_of(measure: Measure) -> set[str]:
    rows = {_column_of(name) for name in measure.value.meta.root_names()}
    of_stream = {"events": set[str](), "purchases": {"amount"}}.get(measure.stream, {"event"})
    return {"ts"} | rows | of_stream


def _column_of(name: str) -> str:
    of_properties = name.startswith(("number_", "category_", "deadline_"))
    return "properties" if of_properties else MADE_OF.get(name, "ts")


def as_markdown(found: Catalogue) -> str:
    """A table a reader can put into a document."""
    lines = [
        f"# Features: set '{found.set}', version {found.version}, {len(found.features)} features",
        "",
        "| name | family | what it is | unit | window | made of |",
        "|---|---|---|---|---:|---|",
    ]
    for entry in found.features:
        window = f"{entry.window_days} d" if entry.window_days else ""
        cells = (entry.name, entry.family, entry.description, entry.unit, window)
        escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {escaped} | {', '.join(entry.inputs)} |")
    return "\n".join(lines) + "\n"
