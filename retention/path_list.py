"""Lists of users, written a bucket at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from runtime.errors import UsageError
from runtime.files import remove_drafts, write_atomic

LISTS = (".csv", ".parquet")


def check_list(file: Path | None) -> None:
    """Raises UsageError for a file of another kind."""
    if file is not None and file.suffix not in LISTS:
        raise UsageError(f"{file}: users are written to {' or '.join(LISTS)}; name one of these")


def write_list(file: Path, parts: Iterator[pl.DataFrame]) -> None:
    """Memory: one part at a time. Raises OutputError."""
    remove_drafts(file)
    write = _write_csv if file.suffix == ".csv" else _write_parquet
    write_atomic(file, lambda draft: write(draft, parts))


def _write_csv(draft: Path, parts: Iterator[pl.DataFrame]) -> None:
    with draft.open("wb") as out:
        for number, part in enumerate(parts):
            part.write_csv(out, include_header=number == 0)


def _write_parquet(draft: Path, parts: Iterator[pl.DataFrame]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for part in parts:
            table = part.to_arrow()
            writer = writer or pq.ParquetWriter(draft, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
