"""The Parquet files that a table is made of: written whole, named, not yet part of any version.

A part becomes rows of a table only when `runtime.tables.commit` names it, so parts can be
written by many processes at once and thrown away without harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import polars as pl
import pyarrow.parquet as pq

from runtime.files import write_atomic

ROW_GROUP = 1 << 18  # rows: a bucket's columns are then read in parallel, and skipped by it
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|-[0-9]+")
COMPRESSION_LEVEL = 1  # of zstd: 3 gains 5 % of space for twice the time


@dataclass(frozen=True)
class TableKind:
    """What a table is: its name, schema version, column types and partition columns.

    `sorted_by`: the order in which the rows of each file lie, if any. `remedy`: what to do with a
    table of another schema version.
    """

    name: str
    version: int
    schema: Mapping[str, pl.DataType]
    partition_by: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()
    remedy: str = "ingest the sources into a new store"

    @property
    def description(self) -> str:
        return json.dumps({"holdfast": self.name, "schema_version": self.version})

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """Those that lie in the files: all but the partition columns."""
        return {n: t for n, t in self.schema.items() if n not in self.partition_by}


@dataclass(frozen=True)
class Part:
    """A Parquet file of a table: its path relative to the table's, and what Delta must know."""

    path: Path
    partition: Mapping[str, str]
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class Table:
    """One version of one table. Files never change under a version, so plans over it are stable."""

    path: Path
    version: int
    files: tuple[tuple[Path, Mapping[str, str | None]], ...]
    schema: Mapping[str, pl.DataType]
    partition_by: tuple[str, ...]
    counts: tuple[int, ...]  # the rows of each of `files`
    numbers: Mapping[str, int | None] = field(default_factory=dict)  # those asked for on opening

    def files_of(self, **partition: int | str) -> list[Path]:
        """The files whose partition values are as named."""
        return [path for path, _ in self._of(partition)]

    def in_one_file(self, **partition: int | str) -> bool:
        """Whether the rows lie in one file at most, and so in the kind's `sorted_by` order."""
        return len(self._of(partition)) <= 1

    def rows(self, **partition: int | str) -> int:
        """The number of rows, as the log has it: no file is opened."""
        return sum(count for _, count in self._of(partition))

    def scan(self, **partition: int | str) -> pl.LazyFrame:
        """A scan of the files whose partition values are as named; the partition columns that
        are not stored in the files are left out of the frame."""
        paths = self.files_of(**partition)
        columns = {n: t for n, t in self.schema.items() if n not in self.partition_by}
        if not paths:
            return pl.LazyFrame(schema=dict(columns))
        return pl.scan_parquet(paths, schema=dict(columns), missing_columns="insert")

    def partitions(self, name: str) -> list[str]:
        return sorted({value for _, v in self.files if (value := v.get(name)) is not None})

    def _of(self, partition: Mapping[str, int | str]) -> list[tuple[Path, int]]:
        wanted = {name: str(value) for name, value in partition.items()}
        return [
            (path, count)
            for (path, values), count in zip(self.files, self.counts, strict=True)
            if all(values.get(name) == value for name, value in wanted.items())
        ]


def write_part(
    table: Path,
    kind: TableKind,
    frame: pl.DataFrame,
    name: str | None = None,
    *,
    is_sorted: bool = False,
    **partition: int | str,
) -> Part:
    """Writes one file of the table, whole or not at all; rows lie in `kind.sorted_by`'s order,
    as they come where there is none or where the caller has sorted them (`is_sorted`).

    Name a file after everything that its rows depend on and it is taken as it is where it lies
    there already: that is how interrupted work is taken up. Left out, the name is a new one.
    Memory: the frame, and a copy where it must be sorted. Raises OutputError.
    """
    name = name or uuid4().hex
    if found := find_part(table, kind, name, **partition):
        return found
    rows = frame.select(pl.col(column).cast(t) for column, t in kind.columns.items())
    if kind.sorted_by and not is_sorted:
        rows = rows.sort(kind.sorted_by)
    path = table / _place(kind, name, partition)
    write_atomic(path, lambda draft: _write(rows, draft))
    return _part(table, kind, path, rows.height, partition)


def find_part(table: Path, kind: TableKind, name: str, **partition: int | str) -> Part | None:
    """The file of that name, where an earlier `write_part` has finished it."""
    path = table / _place(kind, name, partition)
    if not path.exists():
        return None
    return _part(table, kind, path, pq.read_metadata(path).num_rows, partition)


def write_parts(
    table: Path, kind: TableKind, frame: pl.DataFrame, *, is_sorted: bool = False
) -> Iterator[Part]:
    """One file for each of the frame's partitions, rows in the frame's order."""
    if not kind.partition_by:
        if frame.height:
            yield write_part(table, kind, frame, is_sorted=is_sorted)
        return
    frame = frame.with_columns(pl.col(n).cast(kind.schema[n]) for n in kind.partition_by)
    parted = frame.partition_by(kind.partition_by, as_dict=True, maintain_order=True)
    for values, rows in parted.items():
        partition = dict(zip(kind.partition_by, values, strict=True))
        yield write_part(table, kind, rows, is_sorted=is_sorted, **partition)


def without_matching(
    file: Path, values: Mapping[str, str | None], kind: TableKind, predicate: pl.Expr
) -> pl.DataFrame | None:
    """The file's rows that do not match; None where all of them stay, so the file can."""
    known = [pl.lit(v).cast(kind.schema[name]).alias(name) for name, v in values.items()]
    matches = predicate.fill_null(value=False)
    if set(predicate.meta.root_names()) <= set(values):
        matched = pl.select(*known, pl.lit(None).alias("")).select(matches).item()
        return pl.DataFrame(schema=dict(kind.schema)) if matched else None
    rows = pl.read_parquet(file, hive_partitioning=False).with_columns(known)
    rest = rows.filter(~matches)
    return rest if rest.height < rows.height else None


def _place(kind: TableKind, name: str, partition: Mapping[str, int | str]) -> Path:
    """Where the file lies, relative to the table: `bucket=3/name.parquet`. A value that is not
    plain is refused: Delta's readers do not agree on how a path spells it."""
    if set(partition) != set(kind.partition_by):
        raise ValueError(f"{kind.name} is parted by {kind.partition_by}, not {tuple(partition)}")
    values = {column: str(partition[column]) for column in kind.partition_by}
    for word in (name, *values.values()):
        if not PLAIN.fullmatch(word):
            raise ValueError(f"{kind.name}: {word!r} cannot be in a path; use letters and digits")
    return Path(*(f"{column}={value}" for column, value in values.items()), f"{name}.parquet")


def _part(
    table: Path, kind: TableKind, path: Path, rows: int, partition: Mapping[str, int | str]
) -> Part:
    values = {name: str(partition[name]) for name in kind.partition_by}
    return Part(path.relative_to(table), values, rows, path.stat().st_size)


def _write(rows: pl.DataFrame, path: Path) -> None:
    rows.write_parquet(
        path,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        row_group_size=ROW_GROUP,
    )
