"""Parquet as batches of its own column types; a row's number stands for its line.

Files of plain columns in row groups of a usual size are read by Polars, in several threads;
others (a row group too large to hold, types that Polars takes for something else) a batch at a
time by pyarrow, which takes four times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PanicException, PolarsError

from events.batches import Batch, rejects_frame
from events.store import CPU
from runtime.collect import collect
from runtime.errors import InputError, SchemaError
from runtime.settings_sources import FileFormat

BATCH_ROWS = 1 << 20
BATCH_BYTES = 1 << 28
LEAST_CELL_BYTES = 16  # a text's place in memory, its characters beside
PYARROW_ROWS = 1 << 17
_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_boolean,
    pa.types.is_timestamp,
    pa.types.is_date32,
)


def read_parquet(path: Path, layout: FileFormat, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
    """Raises InputError. `layout` says nothing that a Parquet file does not."""
    first = 1
    with _opened(path) as file:
        _check_names(path, file.schema_arrow.names)
        try:
            for rows in _frames(path, file, _rows_at_once(file, batch_rows)):
                lines = pl.int_range(first, first + rows.height, dtype=pl.Int64(), eager=True)
                first += rows.height
                yield Batch(rows, lines.alias("line"), rejects_frame(()))
        except (pa.ArrowException, PolarsError, PanicException, OSError) as error:
            raise _broken(path, error) from None


def parquet_names(path: Path) -> list[str]:
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def parquet_rows(path: Path) -> int:
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _rows_at_once(file: pq.ParquetFile, most: int) -> int:
    """So many rows that a batch has about BATCH_BYTES in memory."""
    meta = file.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    row_bytes = size // max(meta.num_rows, 1) + LEAST_CELL_BYTES * len(file.schema_arrow.names)
    return max(1, min(most, BATCH_BYTES // int(row_bytes)))


def _frames(path: Path, file: pq.ParquetFile, batch_rows: int) -> Iterator[pl.DataFrame]:
    meta = file.metadata
    groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    if max(groups, default=0) <= batch_rows and _alike_in_polars(path, file.schema_arrow):
        yield from _by_polars(path, groups, batch_rows)
        return
    for batch in file.iter_batches(batch_size=min(batch_rows, PYARROW_ROWS)):
        yield pl.DataFrame(pa.Table.from_batches([batch]))


def _alike_in_polars(path: Path, schema: pa.Schema) -> bool:
    """Whether Polars takes every column for what pyarrow takes it for."""
    if not all(any(is_such(field.type) for is_such in _PLAIN) for field in schema):
        return False
    return _scan(path).collect_schema() == pl.DataFrame(schema.empty_table()).schema


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _by_polars(path: Path, groups: list[int], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Whole row groups at a time; the first alone, for who wants only a look."""
    plan, begin, rows = _scan(path), 0, 0
    for number, group in enumerate(groups):
        rows += group
        following = groups[number + 1] if number + 1 < len(groups) else batch_rows
        if begin == 0 or rows + following > batch_rows:
            yield collect(plan.slice(begin, rows), CPU)
            begin, rows = begin + rows, 0
    if rows:
        yield collect(plan.slice(begin, rows), CPU)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: BaseException) -> InputError:
    first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path}: is cut off or not Parquet ({first_line}); fetch it again")


def _check_names(path: Path, names: list[str]) -> None:
    doubled = next((n for n in names if names.count(n) > 1), None)
    if doubled is not None:
        raise SchemaError(f"{path}: two columns are called '{doubled}'; write the file anew")
