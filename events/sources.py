"""What an ingest reads: files found, columns checked, one time format a source decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from events.columns import as_text, nulled
from events.lookup_tables import LookupTable, added_columns, check_keys, read_lookups
from events.lookups import with_same
from events.mapping import SourcePlan, check_columns
from events.readers import InputFile, find_files, fixed_columns, read
from events.timestamps import ambiguous, detect
from runtime.clock import parse_instant
from runtime.errors import SettingsError, UsageError
from runtime.settings import Settings
from runtime.settings_sources import Source

SAMPLE_ROWS = 20_000
NO_TEXT = "a time"  # the format of a column that has times, or nothing at all


@dataclass(frozen=True)
class FoundSource:
    source: Source
    files: tuple[InputFile, ...]
    tables: tuple[LookupTable, ...]

    @property
    def called(self) -> str:
        return f"source {self.source.name}"


def find_sources(settings: Settings) -> list[FoundSource]:
    """Every file of every source, each opened once to see that it can be what it should be.

    Raises InputError, SchemaError.
    """
    found = []
    for source in settings.source:
        called = f"source {source.name}"
        files = find_files(settings, source, called)
        tables = read_lookups(settings, source)
        for file in files:
            columns = fixed_columns(file.path, source)
            if columns is not None:
                columns += added_columns(tables)
                check_columns(source, columns, f"{called}, {file.shown}")
                check_keys(source, columns, f"{called}, {file.shown}")
        found.append(FoundSource(source, tuple(files), tables))
    return found


def plan_of(
    found: FoundSource, new: Sequence[InputFile], known: Mapping[str, str], settings: Settings
) -> SourcePlan:
    """`known`: the formats decided at an earlier ingest, by `format_key`. Raises InputError where
    none fits."""
    source, received = found.source, found.source.columns.received

    def decided(column: str, asked: str, setting: str) -> str:
        if asked != "auto":
            return asked
        key = format_key(source, column)
        return known.get(key) or _detected(found, column, new, setting)

    time_format = decided(source.columns.ts, source.time_format, "time_format")
    received_format = None
    if received is not None:
        received_format = decided(received, source.received_format, "received_format")
    bounds = time_bounds(settings)
    return SourcePlan(source, time_format, received_format, *bounds, found.tables)


def format_key(source: Source, column: str) -> str:
    return f"{source.name}/{column}"


def found_formats(plan: SourcePlan) -> dict[str, str]:
    """The plan's formats of text, by `format_key`."""
    columns = plan.source.columns
    found = {columns.ts: plan.time_format, columns.received: plan.received_format}
    return {
        format_key(plan.source, column): time_format
        for column, time_format in found.items()
        if column is not None and time_format not in (None, NO_TEXT)
    }


def time_bounds(settings: Settings) -> tuple[datetime, datetime]:
    """[earliest, latest): by default up to the end of tomorrow. Raises SettingsError."""
    zone, events = settings.project.timezone, settings.events
    try:
        earliest = parse_instant(events.earliest, zone)
        latest = parse_instant(events.latest, zone) if events.latest else None
    except UsageError as error:
        raise SettingsError(f"events.earliest or events.latest: {error}") from None
    if latest is None:
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        latest = day + timedelta(days=2)
    if latest <= earliest:
        raise SettingsError(
            f"events.latest {latest:%Y-%m-%d} is not after events.earliest "
            f"{earliest:%Y-%m-%d}; leave one out"
        )
    return earliest, latest


def _detected(found: FoundSource, column: str, files: Sequence[InputFile], setting: str) -> str:
    called = f"{found.called}, column '{column}'"
    seen: pl.Series | None = None
    for sample in _samples(found, column, files):
        if sample is None:
            return NO_TEXT
        if len(sample):
            seen = sample
            if time_format := detect(sample, called, setting):
                return time_format
    if seen is None:
        return NO_TEXT  # every row goes to quarantine with its own reason
    raise ambiguous(seen, called, setting)


def _samples(
    found: FoundSource, column: str, files: Sequence[InputFile]
) -> Iterator[pl.Series | None]:
    """Distinct texts of the time column, SAMPLE_ROWS rows at a time whatever the batch size;
    None where the column has times already."""
    parts, rows = list[pl.Series](), 0
    for file in files:
        for batch in read(file.path, found.source):
            known = batch.rows
            if column not in known.columns:
                known = with_same(known, found.tables, found.source)
            if column not in known.columns:
                continue
            dtype = known.schema[column]
            if dtype.is_temporal():
                yield None
                return
            text = nulled(known.select(column), found.source.null_values)
            values = text.select(as_text(column, dtype).alias("ts"))["ts"]
            parts.append(values)
            rows += len(values)
            while rows >= SAMPLE_ROWS:
                whole = pl.concat(parts)
                yield _distinct(whole.head(SAMPLE_ROWS))
                parts, rows = [whole.slice(SAMPLE_ROWS)], rows - SAMPLE_ROWS
    if rows:
        yield _distinct(pl.concat(parts))


def _distinct(values: pl.Series) -> pl.Series:
    return values.drop_nulls().unique(maintain_order=True)
