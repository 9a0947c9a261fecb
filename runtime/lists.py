"""Lists of users that a figure hangs from: .csv or .parquet, written a part at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from runtime.errors import UsageError
from runtime.files import check_file, remove_drafts, write_atomic

ENDINGS = (".csv", ".parquet")
_ISO = "%Y-%m-%dT%H:%M:%S%.6fZ"


def check_list(path: Path, option: str = "--users") -> None:
    """Before any work is done for it. Raises UsageError, OutputError."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"{option} {path}: a list is a {' or '.join(ENDINGS)} file; name it so")
    check_file(path, option)


def write_list(path: Path, parts: Iterable[pl.DataFrame]) -> int:
    """The parts one after the other, each sorted by its columns from the left; how many rows.

    Whole or not at all; one part in memory. In CSV an instant is UTC's, as ISO 8601. Raises
    UsageError, OutputError.
    """
    check_list(path)
    remove_drafts(path)
    rows: list[int] = []
    write = _write_csv if path.suffix == ".csv" else _write_parquet
    write_atomic(path, lambda draft: rows.append(write(draft, _sorted(parts))))
    return rows[0]


def _sorted(parts: Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    return (part.sort(part.columns) for part in parts)


def _write_csv(draft: Path, parts: Iterable[pl.DataFrame]) -> int:
    rows = 0
    with draft.open("wb") as file:
        for number, part in enumerate(parts):
            told = part.with_columns(pl.selectors.datetime().dt.strftime(_ISO))
            told.write_csv(file, include_header=number == 0)
            rows += part.height
    return rows


def _write_parquet(draft: Path, parts: Iterable[pl.DataFrame]) -> int:
    rows, writer = 0, None
    try:
        for part in parts:
            table = part.to_arrow()
            writer = writer or pq.ParquetWriter(draft, table.schema, compression="zstd")
            writer.write_table(table)
            rows += part.height
    finally:
        if writer is not None:
            writer.close()
    return rows
