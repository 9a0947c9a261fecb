"""Versioned tables with atomic commits, one writer of files for each bucket if need be.

Holdfast writes the Parquet files itself (`runtime.parts`); a commit to the log (`runtime.delta`)
makes a version of them. Each table carries its kind and schema version in its metadata and is
refused where either is not what this version of Holdfast reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from runtime.delta import LOG, RETRIES, Log, arrow_schema, beaten, create, exists
from runtime.errors import StoreError, from_foreign
from runtime.files import remove_drafts_below
from runtime.parts import (
    Part,
    Table,
    TableKind,
    find_part,
    without_matching,
    write_part,
    write_parts,
)


def open_table(path: Path, kind: TableKind, numbers: Iterable[str] = ()) -> Table:
    """The newest version, with the `numbers` recorded in it under these names. Raises StoreError
    where there is no table or it is of another kind."""
    return _table(_log(path, kind), kind, numbers)


def stored_kind(path: Path) -> TableKind:
    """What the table at `path` says it is, whichever floor it belongs to. Raises StoreError."""
    log = Log(path, "Delta")
    said = log.description()
    if "holdfast" not in said:
        raise StoreError(f"{path}: is not a table of Holdfast's; move it out of the store")
    return TableKind(said["holdfast"], said["schema_version"], log.schema(), log.partition_by)


def _table(log: Log, kind: TableKind, numbers: Iterable[str]) -> Table:
    found = log.files()
    return Table(
        path=log.path,
        version=log.version,
        files=tuple((file.path, file.partition) for file in found),
        schema=kind.schema,
        partition_by=log.partition_by,
        counts=tuple(file.rows for file in found),
        numbers={name: log.number(name) for name in numbers},
    )


def _log(path: Path, kind: TableKind) -> Log:
    log = Log(path, kind.name)
    found = log.description()
    if found.get("holdfast") != kind.name:
        raise StoreError(f"{path}: is not a table of {kind.name}; name another store")
    if found.get("schema_version") != kind.version:
        raise StoreError(
            f"{path}: has schema version {found.get('schema_version')}, this Holdfast reads "
            f"version {kind.version}; {kind.remedy}"
        )
    return log


def committed(path: Path, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that an earlier commit has recorded."""
    if not exists(path):
        return set()
    log = Log(path, "Delta")
    return {key for key in keys if log.number(key) is not None}


def recorded(path: Path, name: str) -> int | None:
    """The number that the last commit to do so has recorded under `name`."""
    return Log(path, "Delta").number(name) if exists(path) else None


def commit(
    path: Path,
    kind: TableKind,
    add: Sequence[Part] = (),
    remove: Iterable[Path] = (),
    keys: Iterable[str] = (),
    numbers: Mapping[str, int] | None = None,
    since: int | None = None,
) -> int:
    """Makes one new version that has the parts `add`, has no longer the files `remove`, and
    records `keys` and `numbers`; returns the table's version. The table is made where there is
    none.

    A process killed at any moment leaves the version before or the one after. Others may commit
    at the same time: what they add stays. Raises StoreError where they have removed the same
    files, recorded the same names, or, with `since`, made any version after that one;
    OutputError where the log cannot be written.
    """
    facts = dict.fromkeys(keys, 1) | dict(numbers or {})
    gone = list(remove)
    remove_drafts_below(path)
    if not exists(path):
        if gone or since is not None:
            raise beaten(path, "it is gone")
        if create(path, kind, add, facts):
            return Log(path, kind.name).version
    log = _log(path, kind)
    if since is not None and log.version != since:
        raise beaten(path, f"it is at version {log.version}, not {since}")
    log.write(kind, add, gone, facts, retries=RETRIES if since is None else 0)
    return Log(path, kind.name).version


def append(
    path: Path,
    kind: TableKind,
    frames: Iterable[pl.DataFrame],
    keys: Iterable[str] = (),
    numbers: Mapping[str, int] | None = None,
    *,
    is_sorted: bool = False,
) -> int:
    """Adds the frames in one commit that also records `keys` and `numbers`; returns the table's
    version.

    Frames are streamed: memory holds one at a time. `is_sorted`: each lies in the order of the
    kind already.
    """
    parts = _parts(path, kind, frames, is_sorted=is_sorted)
    return commit(path, kind, parts, (), keys, numbers)


def rewrite(
    path: Path,
    kind: TableKind,
    frames: Iterable[pl.DataFrame],
    numbers: Mapping[str, int] | None = None,
) -> int:
    """Puts the frames in the place of all rows, in one commit that also records `numbers`;
    columns may change with them."""
    if not exists(path):
        return append(path, kind, frames, numbers=numbers)
    log = _log(path, kind)
    log.write(kind, _parts(path, kind, frames), (), dict(numbers or {}), "overwrite")
    return Log(path, kind.name).version


def replace(
    path: Path, kind: TableKind, frames: Iterable[pl.DataFrame], predicate: str | pl.Expr
) -> int:
    """Puts the frames in the place of the rows that match `predicate` (SQL or an expression),
    in one commit. Memory: a file that holds rows of both sorts."""
    if not exists(path):
        return append(path, kind, frames)
    matching = pl.sql_expr(predicate) if isinstance(predicate, str) else predicate
    kept: list[Part] = []
    gone: list[Path] = []
    for file, values in open_table(path, kind).files:
        rest = without_matching(file, values, kind, matching)
        if rest is not None:
            gone.append(file)
            kept += write_parts(path, kind, rest)
    return commit(path, kind, [*kept, *_parts(path, kind, frames)], gone)


def _parts(
    path: Path, kind: TableKind, frames: Iterable[pl.DataFrame], *, is_sorted: bool = False
) -> list[Part]:
    return [p for frame in frames for p in write_parts(path, kind, frame, is_sorted=is_sorted)]


def vacuum(path: Path) -> int:
    """Deletes every file that the newest version does not name, and the log of the versions
    before it, which can then not be opened any more; returns the number of files deleted.

    The log goes before the files, so that a killed run leaves no version half deleted; run again
    it goes on. Nobody may write to the table meanwhile; who still reads an older version fails.
    Raises OutputError where a file cannot be deleted.
    """
    if not exists(path):
        return 0
    log = Log(path, "Delta")
    this = f"{log.version:020d}"
    kept = {f"{this}.json", f"{this}.checkpoint.parquet", "_last_checkpoint"}
    older = sorted(file for file in (path / LOG).iterdir() if file.name not in kept)
    if older:
        log.checkpoint()
    named = {file.path for file in log.files()}
    deleted = [*older, *(file for file in _data_files(path) if file not in named)]
    try:
        for file in deleted:
            file.unlink(missing_ok=True)
        _remove_empty(path)
    except OSError as error:
        if known := from_foreign(error, str(path)):
            raise known from error
        raise
    return len(deleted)


def _remove_empty(path: Path) -> None:
    folders = [folder for folder in path.rglob("*/") if folder.is_dir()]
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _data_files(path: Path) -> list[Path]:
    """All files below the table's folder but its log's."""
    found = (file for file in path.rglob("*") if path / LOG not in file.parents)
    return sorted(file for file in found if file.is_file())


__all__ = [
    "Part",
    "Table",
    "TableKind",
    "append",
    "arrow_schema",
    "commit",
    "committed",
    "exists",
    "find_part",
    "open_table",
    "recorded",
    "replace",
    "rewrite",
    "stored_kind",
    "vacuum",
    "write_part",
    "write_parts",
]
