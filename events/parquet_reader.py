"""Parquet as batches of its own column types; a row's number stands for its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from events.batches import Batch, rejects_frame
from runtime.errors import InputError, SchemaError
from runtime.settings import FileFormat

BATCH_ROWS = 1 << 17


def read_parquet(path: Path, layout: FileFormat, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
    """Raises InputError. `layout` says nothing that a Parquet file does not."""
    first = 1
    with _opened(path) as file:
        _check_names(path, file.schema_arrow.names)
        try:
            for batch in file.iter_batches(batch_size=batch_rows):
                rows = pl.DataFrame(pa.Table.from_batches([batch]))
                lines = pl.int_range(first, first + rows.height, dtype=pl.Int64(), eager=True)
                first += rows.height
                yield Batch(rows, lines.alias("line"), rejects_frame(()))
        except (pa.ArrowException, OSError) as error:
            raise _broken(path, error) from None


def parquet_names(path: Path) -> list[str]:
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> InputError:
    first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path}: is cut off or not Parquet ({first_line}); fetch it again")


def _check_names(path: Path, names: list[str]) -> None:
    doubled = next((n for n in names if names.count(n) > 1), None)
    if doubled is not None:
        raise SchemaError(f"{path}: two columns are called '{doubled}'; write the file anew")
