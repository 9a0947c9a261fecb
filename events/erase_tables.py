"""People taken out of tables: rows first, in one commit, then every version before it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from events.contract import QUARANTINE
from events.erase_journal import Note
from events.erase_text import Wanted
from events.erased import ids_in
from events.staging import bucket_of
from events.store import BUCKETS, CPU
from runtime.collect import collect
from runtime.files import write_atomic
from runtime.tables import (
    Part,
    Table,
    TableKind,
    commit,
    open_table,
    stored_kind,
    vacuum,
    write_part,
)

USER = "user_id"


@dataclass(frozen=True)
class ErasedTable:
    """`table`: its folder; `rows`: how many have gone; `files_deleted`: the log's too."""

    table: str
    rows: int
    version_before: int
    version: int
    files_deleted: int


def table_folders(store: Path) -> list[Path]:
    return sorted(log.parent for log in store.rglob("_delta_log") if log.is_dir())


def erase_from_table(
    path: Path, ids: Set[str], columns: Mapping[str, str], note: Note
) -> ErasedTable:
    """Takes the users' rows out of the table and deletes its older versions. `columns`: what a
    source calls its user. Memory: a file of the table."""
    kind = stored_kind(path)
    table = open_table(path, kind, [BUCKETS])
    add: list[Part] = []
    gone: list[Path] = []
    found: set[str] = set()
    erased = 0
    for file, values, held in _suspects(table, kind, ids):
        theirs = _theirs(file, kind, ids, columns)
        if theirs is None:
            continue
        rows, users = theirs
        found |= users
        erased += held - rows.height
        gone.append(file)
        if rows.height:
            # In the types that the file has, of which the log knows only the nearest.
            own = replace(kind, schema={**rows.schema, **_parted(kind)})
            add.append(write_part(path, own, rows, is_sorted=True, **_named(values)))
    version = table.version
    if gone:
        note(str(path), erased, found, version)
        version = commit(path, kind, add, gone, since=version)
    return ErasedTable(str(path), erased, table.version, version, vacuum(path))


def _parted(kind: TableKind) -> dict[str, pl.DataType]:
    return {name: kind.schema[name] for name in kind.partition_by}


def _named(values: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _suspects(
    table: Table, kind: TableKind, ids: Set[str]
) -> list[tuple[Path, Mapping[str, str | None], int]]:
    """The files that may hold one of the users, their partition and rows: all of them, or those
    of the users' buckets where the table says how many it has."""
    if kind.name != QUARANTINE.name and USER not in kind.schema:
        return []
    files = [(*file, rows) for file, rows in zip(table.files, table.counts, strict=True)]
    parted_in = table.numbers[BUCKETS]
    if parted_in is None or "bucket" not in kind.partition_by:
        return files
    users = pl.DataFrame({USER: sorted(ids)}, schema={USER: pl.String()})
    buckets = set(users.select(bucket_of(parted_in)).to_series().cast(pl.String()))
    return [(path, values, rows) for path, values, rows in files if values["bucket"] in buckets]


def _theirs(
    file: Path, kind: TableKind, ids: Set[str], columns: Mapping[str, str]
) -> tuple[pl.DataFrame, set[str]] | None:
    """The rows of everybody else, and the users who are in the file; None where none is."""
    plan = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    if kind.name == QUARANTINE.name:
        rows = collect(plan, CPU)
        held = [
            ids_in(raw, columns.get(source)) & ids
            for raw, source in rows.select("raw", "source").iter_rows()
        ]
        stays = pl.Series([not users for users in held], dtype=pl.Boolean())
        users = set().union(*held)
        return (rows.filter(stays), users) if users else None
    wanted = pl.col(USER).is_in(sorted(ids)).fill_null(value=False)
    users = set(collect(plan.filter(wanted).select(USER).unique(), CPU)[USER])
    return (collect(plan.filter(~wanted), CPU), users) if users else None


def erase_from_parquet(path: Path, wanted: Wanted, note: Note) -> None:
    """Takes the users' rows out of a Parquet file that is in no table."""
    plan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    if plan.collect_schema().get(USER) != pl.String():
        return
    theirs = pl.col(USER).is_in(sorted(wanted.ids)).fill_null(value=False)
    users = collect(plan.filter(theirs).select(USER), CPU)[USER]
    if len(users):
        note(str(path), len(users), set(users), None)
        rest = collect(plan.filter(~theirs), CPU)
        write_atomic(path, rest.write_parquet)
