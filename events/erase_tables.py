"""People taken out of tables: rows first, in one commit, then every version before it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from events.contract import QUARANTINE
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
    path: Path, ids: Set[str], columns: Mapping[str, str]
) -> tuple[ErasedTable, set[str]]:
    """Takes the users' rows out of the table and deletes its older versions, and says which of
    the users were in it. `columns`: what a source calls its user. Memory: a file of the table."""
    kind = stored_kind(path)
    table = open_table(path, kind, [BUCKETS])
    add: list[Part] = []
    gone: list[Path] = []
    found: set[str] = set()
    left = table.rows()
    for file, values in _suspects(table, kind, ids):
        theirs = _theirs(file, kind, ids, columns)
        if theirs is None:
            continue
        rows, users = theirs
        found |= users
        gone.append(file)
        if rows.height:
            # In the types that the file has, of which the log knows only the nearest.
            own = replace(kind, schema={**rows.schema, **_parted(kind)})
            add.append(write_part(path, own, rows, is_sorted=True, **_named(values)))
    if gone:
        commit(path, kind, add, gone, since=table.version)
    deleted = vacuum(path)
    after = open_table(path, kind)
    erased = left - after.rows()
    return ErasedTable(str(path), erased, table.version, after.version, deleted), found


def _parted(kind: TableKind) -> dict[str, pl.DataType]:
    return {name: kind.schema[name] for name in kind.partition_by}


def _named(values: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _suspects(
    table: Table, kind: TableKind, ids: Set[str]
) -> list[tuple[Path, Mapping[str, str | None]]]:
    """The files that may hold one of the users: all, or those of their buckets where the table
    says how many it has."""
    if kind.name != QUARANTINE.name and USER not in kind.schema:
        return []
    parted_in = table.numbers[BUCKETS]
    if parted_in is None or "bucket" not in kind.partition_by:
        return list(table.files)
    users = pl.DataFrame({USER: sorted(ids)}, schema={USER: pl.String()})
    buckets = set(users.select(bucket_of(parted_in)).to_series().cast(pl.String()))
    return [(path, values) for path, values in table.files if values["bucket"] in buckets]


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


def erase_from_parquet(path: Path, wanted: Wanted) -> dict[str, int]:
    """How many rows of each user have gone from a Parquet file that is in no table."""
    plan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    if plan.collect_schema().get(USER) != pl.String():
        return {}
    theirs = pl.col(USER).is_in(sorted(wanted.ids)).fill_null(value=False)
    counted = collect(plan.filter(theirs).group_by(USER).len(), CPU)
    if counted.height:
        rest = collect(plan.filter(~theirs), CPU)
        write_atomic(path, rest.write_parquet)
    return dict(counted.iter_rows())
