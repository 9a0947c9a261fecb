"""What an ingest reads: files found, columns checked, one time format a source decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from events.columns import as_text, nulled
from events.normalise import SourcePlan, check_columns
from events.readers import InputFile, find_files, fixed_columns, read
from events.timestamps import ambiguous, detect
from runtime.clock import parse_instant
from runtime.errors import SettingsError, UsageError
from runtime.settings import Settings, Source

SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class FoundSource:
    source: Source
    files: tuple[InputFile, ...]

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
        for file in files:
            columns = fixed_columns(file.path, source)
            if columns is not None:
                check_columns(source, columns, f"{called}, {file.shown}")
        found.append(FoundSource(source, tuple(files)))
    return found


def plan_of(
    found: FoundSource, new: Sequence[InputFile], known_format: str | None, settings: Settings
) -> SourcePlan:
    """`known_format`: what was decided at an earlier ingest. Raises InputError where none fits."""
    source = found.source
    decided = source.time_format
    if decided == "auto":
        decided = known_format or _detected(source, new, found.called)
    return SourcePlan(source, decided, *time_bounds(settings))


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


def _detected(source: Source, files: Sequence[InputFile], called: str) -> str:
    called = f"{called}, column '{source.columns.ts}'"
    seen: pl.Series | None = None
    for sample in _samples(source, files):
        if sample is None:
            return "a time"
        if len(sample):
            seen = sample
            if time_format := detect(sample, called):
                return time_format
    if seen is None:
        return "a time"  # no text at all: every row goes to quarantine with its own reason
    raise ambiguous(seen, called)


def _samples(source: Source, files: Sequence[InputFile]) -> Iterator[pl.Series | None]:
    """Distinct texts of the time column, SAMPLE_ROWS rows at a time whatever the batch size;
    None where the column has times already."""
    column, parts, rows = source.columns.ts, list[pl.Series](), 0
    for file in files:
        for batch in read(file.path, source):
            if column not in batch.rows.columns:
                continue
            dtype = batch.rows.schema[column]
            if dtype.is_temporal():
                yield None
                return
            text = nulled(batch.rows.select(column), source.null_values)
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
