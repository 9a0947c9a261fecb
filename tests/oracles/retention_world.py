"""Small logs written straight into a store, and the settings to read them with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from events.contract import EVENTS, TIME
from events.store import EventStore, events_path, open_store
from runtime.settings import Settings, parse_settings
from runtime.tables import append

Row = tuple[str, datetime, str]


def at(text: str) -> datetime:
    """An instant in UTC, however it is written; without an offset it is UTC."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)


def settings_in(folder: Path, zone: str = "UTC", **sections: Any) -> Settings:
    source = {"name": "log", "path": "x.csv", "columns": {"user_id": "u", "ts": "t"}}
    raw = {"project": {"timezone": zone}, "source": [source], **sections}
    return parse_settings(raw, folder)


def write_store(
    settings: Settings, rows: Sequence[Row] | pl.DataFrame, buckets: int = 2, files: int = 1
) -> EventStore:
    """A store of these (user, instant, event) rows, or of a frame with more columns, in as many
    files a bucket."""
    frame = rows if isinstance(rows, pl.DataFrame) else as_frame(rows)
    blank = [pl.lit(None, t).alias(n) for n, t in EVENTS.schema.items() if n not in frame.columns]
    frame = frame.with_columns(blank).with_columns(
        bucket=(pl.col("user_id").rank("dense") % buckets).cast(pl.Int32),
        source=pl.col("source").fill_null("log"),
    )
    frame = frame.select(EVENTS.schema.keys())
    for part in frame.iter_slices(-(-frame.height // files)):
        append(events_path(settings), EVENTS, [part])
    return open_store(settings)


def as_frame(rows: Sequence[Row]) -> pl.DataFrame:
    schema = {"user_id": pl.String(), "ts": TIME, "event": pl.String()}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def hours(count: float) -> timedelta:
    return timedelta(hours=count)
