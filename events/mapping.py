"""Which column of a source is what of the event contract, and all else that is decided before
its rows are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from events.columns import require
from events.contract import EVENTS
from events.lookup_tables import LookupTable
from runtime.settings_sources import Source

ROW_COLUMNS = tuple(name for name in EVENTS.schema if name != "bucket")
Constants = dict[str, str | float | None]


@dataclass(frozen=True)
class SourcePlan:
    """A source with all that is decided before its rows are read. Times in [earliest, latest)."""

    source: Source
    time_format: str
    received_format: str | None  # None where no column is mapped to `received`
    earliest: datetime
    latest: datetime
    tables: tuple[LookupTable, ...] = ()

    @property
    def called(self) -> str:
        return f"source {self.source.name}"


def event_name(source: Source) -> str | None:
    """The event of a row that names none; None where such a row is a fault."""
    if source.columns.event is None and source.constants.event is None:
        return source.name
    return source.constants.event


def constant_columns(plan: SourcePlan, found: Sequence[str] | None) -> Constants:
    """The contract's columns that have one value in all usable rows of a file, whatever they
    are. `found`: the columns of every row; None where each row has its own."""
    source = plan.source
    columns, constants = source.columns, source.constants
    unmapped: Constants = {
        "event": event_name(source),
        "amount": constants.amount,
        "channel": constants.channel,
        "event_id": None,
        "received": None,
    }
    same = {name: value for name, value in unmapped.items() if getattr(columns, name) is None}
    if columns.properties == () or (found is not None and not properties_in(source, found)):
        same["properties"] = None
    return {**same, "source": source.name}


def properties_in(source: Source, found: Sequence[str]) -> list[str]:
    """The columns kept as properties: those named, or all that are mapped to nothing else."""
    if source.columns.properties is not None:
        return [name for name in source.columns.properties if name in found]
    mapped = {*mapped_columns(source)} - {source.columns.quantity}  # it is lost in the amount
    return [name for name in found if name not in mapped]


def mapped_columns(source: Source) -> list[str]:
    columns = source.columns
    named = (
        columns.user_id,
        columns.ts,
        columns.clock,
        columns.event,
        columns.amount,
        columns.quantity,
        columns.channel,
        columns.event_id,
        columns.received,
    )
    return [name for name in named if name is not None]


def check_columns(source: Source, found: Sequence[str], called: str) -> None:
    """Raises SchemaError where a mapped column, or a property asked for, is not there."""
    require(called, [*mapped_columns(source), *(source.columns.properties or ())], found)
