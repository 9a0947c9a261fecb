"""The one module that speaks Delta: versioned tables with atomic commits.

Each table carries its kind and schema version in its metadata and is refused where either is
not what this version of Holdfast reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from runtime.errors import OutputError, StoreError, from_foreign
from runtime.files import make_folder


@dataclass(frozen=True)
class TableKind:
    """What a table is: its name, schema version, column types and partition columns."""

    name: str
    version: int
    schema: Mapping[str, pl.DataType]
    partition_by: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        return json.dumps({"holdfast": self.name, "schema_version": self.version})


@dataclass(frozen=True)
class Table:
    """One version of one table. Files never change under a version, so plans over it are stable."""

    path: Path
    version: int
    files: tuple[tuple[Path, Mapping[str, str | None]], ...]
    schema: Mapping[str, pl.DataType]
    partition_by: tuple[str, ...]

    def scan(self, **partition: int | str) -> pl.LazyFrame:
        """A scan of the files whose partition values are as named; the partition columns that
        are not stored in the files are left out of the frame."""
        wanted = {name: str(value) for name, value in partition.items()}
        paths = [
            path
            for path, values in self.files
            if all(values.get(name) == value for name, value in wanted.items())
        ]
        columns = {n: t for n, t in self.schema.items() if n not in self.partition_by}
        if not paths:
            return pl.LazyFrame(schema=dict(columns))
        return pl.scan_parquet(paths, schema=dict(columns), missing_columns="insert")

    def partitions(self, name: str) -> list[str]:
        return sorted({value for _, v in self.files if (value := v.get(name)) is not None})


def exists(path: Path) -> bool:
    return DeltaTable.is_deltatable(str(path))


def open_table(path: Path, kind: TableKind) -> Table:
    """The newest version. Raises StoreError where there is none or it is of another kind."""
    try:
        delta = DeltaTable(str(path))
    except TableNotFoundError:
        raise StoreError(
            f"{path}: no {kind.name} table here yet; ingest, train and score, in this order"
        ) from None
    except DeltaError as error:
        raise StoreError(f"{path}: the {kind.name} table cannot be read: {error}") from None
    _check_kind(delta, path, kind)
    partition_by = tuple(delta.metadata().partition_columns)
    return Table(
        path, delta.version(), _files(delta, path, partition_by), kind.schema, partition_by
    )


def _check_kind(delta: DeltaTable, path: Path, kind: TableKind) -> None:
    try:
        found = json.loads(delta.metadata().description or "{}")
    except json.JSONDecodeError:
        found = {}
    if found.get("holdfast") != kind.name:
        raise StoreError(f"{path}: is not a table of {kind.name}; name another store")
    if found.get("schema_version") != kind.version:
        raise StoreError(
            f"{path}: has schema version {found.get('schema_version')}, this Holdfast reads "
            f"version {kind.version}; ingest the sources into a new store"
        )


def _files(
    delta: DeltaTable, path: Path, partition_by: tuple[str, ...]
) -> tuple[tuple[Path, Mapping[str, str | None]], ...]:
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    rows = []
    for row in actions.sort("path").iter_rows(named=True):
        parsed = urlparse(row["path"])
        file = Path(unquote(parsed.path)) if parsed.scheme else path / unquote(row["path"])
        values = {
            name: None if row[f"partition.{name}"] is None else str(row[f"partition.{name}"])
            for name in partition_by
        }
        rows.append((file, values))
    return tuple(rows)


def committed(path: Path, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that an earlier `append` has recorded."""
    if not exists(path):
        return set()
    delta = DeltaTable(str(path))
    return {key for key in keys if delta.transaction_version(key) is not None}


def recorded(path: Path, name: str) -> int | None:
    """The number that an earlier `append` has recorded under `name`."""
    return DeltaTable(str(path)).transaction_version(name) if exists(path) else None


def append(
    path: Path,
    kind: TableKind,
    frames: Iterable[pl.DataFrame],
    keys: Iterable[str] = (),
    numbers: Mapping[str, int] | None = None,
) -> int:
    """Adds the frames in one commit that also records `keys` and `numbers`; returns the table's
    version.

    Frames are streamed: memory holds one at a time.
    """
    facts = dict.fromkeys(keys, 1) | dict(numbers or {})
    return _write(path, kind, frames, facts, mode="append", predicate=None)


def rewrite(path: Path, kind: TableKind, frames: Iterable[pl.DataFrame]) -> int:
    """Puts the frames in the place of all rows, in one commit; columns may change with them."""
    if exists(path):
        open_table(path, kind)
    return _write(path, kind, frames, {}, mode="overwrite", predicate=None)


def replace(path: Path, kind: TableKind, frames: Iterable[pl.DataFrame], predicate: str) -> int:
    """Puts the frames in the place of the rows that match `predicate`, in one commit."""
    if not exists(path):
        return _write(path, kind, frames, {}, mode="append", predicate=None)
    open_table(path, kind)
    return _write(path, kind, frames, {}, mode="overwrite", predicate=predicate)


def _write(
    path: Path,
    kind: TableKind,
    frames: Iterable[pl.DataFrame],
    facts: Mapping[str, int],
    mode: str,
    predicate: str | None,
) -> int:
    make_folder(path.parent)
    schema = arrow_schema(kind)
    failed: list[Exception] = []
    batches = _batches(frames, kind, schema, failed)
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    properties = CommitProperties(
        app_transactions=[Transaction(name, n) for name, n in facts.items()]
    )
    try:
        write_deltalake(  # type: ignore[call-overload]
            str(path),
            reader,
            mode=mode,
            predicate=predicate,
            schema_mode="overwrite" if mode == "overwrite" and predicate is None else None,
            partition_by=list(kind.partition_by) or None,
            name=f"holdfast.{kind.name}",
            description=kind.description,
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
            commit_properties=properties,
        )
    except (DeltaError, OSError) as error:
        if failed:  # what a frame failed with, not what Delta makes of it
            raise failed[0] from None
        raise from_foreign(error, str(path)) or OutputError(f"{path}: {error}") from error
    return DeltaTable(str(path)).version()


def arrow_schema(kind: TableKind) -> pa.Schema:
    empty = pl.DataFrame(schema=dict(kind.schema)).to_arrow()
    return pa.schema([pa.field(f.name, _plain(f.type), nullable=True) for f in empty.schema])


def _plain(arrow_type: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type):
        return pa.string()
    return arrow_type


def _batches(
    frames: Iterable[pl.DataFrame], kind: TableKind, schema: pa.Schema, failed: list[Exception]
) -> Iterator[pa.RecordBatch]:
    try:
        for frame in frames:
            table = frame.select(pl.col(n).cast(t) for n, t in kind.schema.items()).to_arrow()
            yield from table.cast(schema).to_batches(max_chunksize=1 << 18)
    except Exception as error:
        failed.append(error)
        raise
