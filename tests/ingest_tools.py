"""Small ingest projects for tests: files, settings, and what the tables then hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable

from events.ingest import IngestResult, ingest
from runtime.settings import Settings, parse_settings

HEAD = "id,user,ts,what,paid\n"
COLUMNS = {"user_id": "user", "ts": "ts", "event": "what", "amount": "paid", "event_id": "id"}


def settings_in(folder: Path, **changes: Any) -> Settings:
    """One source `log` of `*.csv`; `changes` go into the source, or to a section by its name."""
    source: dict[str, Any] = {"name": "log", "path": "*.csv", "columns": dict(COLUMNS)}
    sections = {"events": {"buckets": 3}}
    for name, value in changes.items():
        if name in ("events", "users", "project"):
            sections[name] = sections.get(name, {}) | value
        else:
            source[name] = value
    return parse_settings({"source": [source], **sections}, folder)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(folder: Path, name: str = "events") -> pl.DataFrame:
    """All rows of a table of the project's store, in a fixed order; empty where there is none."""
    path = folder / "store" / name
    if not DeltaTable.is_deltatable(str(path)):
        return pl.DataFrame()
    frame = pl.DataFrame(pl.from_arrow(DeltaTable(str(path)).to_pyarrow_table()))
    return frame.sort(frame.columns)


def ingested(
    folder: Path, content: str | bytes, **changes: Any
) -> tuple[IngestResult, pl.DataFrame]:
    """The result of ingesting one file, and the events sorted by user and time."""
    put(folder, "log.csv", content)
    result = ingest(settings_in(folder, **changes))
    return result, table(folder).sort("user_id", "ts")
