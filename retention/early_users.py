"""The users behind an early marker, written a bucket at a time."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import polars as pl

from events.passes import each_bucket
from events.store import EventStore
from retention.early_markers import EarlyMarkers
from retention.early_plan import Candidate, EarlyQuestion, done_by_plan
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import OutputError, UsageError
from runtime.files import write_atomic

ENDINGS = (".csv", ".parquet")


def check_users_file(path: Path) -> None:
    """Raises UsageError, OutputError; before any work is done for it."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"--users {path}: ends with none of {', '.join(ENDINGS)}; name it so")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder where the file should go; choose another --users")


def write_users(
    found: EarlyMarkers,
    number: int,
    path: Path,
    store: EventStore,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Writes the users of validation with marker `number` (from 1); returns how many, which is
    the marker's `with_users`. user_id, first, reached (when it had been done so often), outcome
    (whether it came): as many of them true as `with_hits`. Raises UsageError, OutputError."""
    markers = found.markers
    if not 1 <= number <= len(markers):
        raise UsageError(
            f"--marker {number}: {len(markers)} markers were kept; "
            + (f"choose 1 to {len(markers)}" if markers else "there is none to list")
        )
    parts = each_bucket(
        partial(
            _listed, asked=found.asked, marker=markers[number - 1].chosen.candidate, store=store
        ),
        store,
        device,
        "users of the marker",
        with_bucket=True,
        cluster=cluster,
    )
    rows: list[int] = []
    write = _write_csv if path.suffix == ".csv" else _write_parquet
    write_atomic(path, lambda draft: rows.append(write(draft, parts)))
    return rows[0]


def _listed(
    events: pl.LazyFrame, bucket: int, asked: EarlyQuestion, marker: Candidate, store: EventStore
) -> pl.LazyFrame:
    return done_by_plan(events, asked, marker, in_order=store.in_order(bucket))


def _write_csv(path: Path, parts: Iterable[pl.DataFrame]) -> int:
    rows = 0
    with path.open("wb") as file:
        for number, part in enumerate(parts):
            part.write_csv(file, include_header=number == 0)
            rows += part.height
    return rows


def _write_parquet(path: Path, parts: Iterable[pl.DataFrame]) -> int:
    import pyarrow.parquet as pq

    rows, writer = 0, None
    for part in parts:
        table = part.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
        rows += part.height
    assert writer is not None, "a store has at least one bucket"
    writer.close()
    return rows
