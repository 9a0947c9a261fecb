"""The one module that speaks Delta: the log that says which files make which version.

The log is told the number of rows of a file and nothing of their contents, so that no user's id
is ever in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlparse

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from runtime.errors import HoldfastError, OutputError, StoreError, from_foreign
from runtime.files import make_folder
from runtime.parts import Part, TableKind

RETRIES = 15
LOG = "_delta_log"


@dataclass(frozen=True)
class LogFile:
    """A file of a version; `logged` is its path as the log has it."""

    path: Path
    partition: Mapping[str, str | None]
    rows: int
    logged: str


def exists(path: Path) -> bool:
    return DeltaTable.is_deltatable(str(path))


class Log:
    """The log of the table at `path` as of its newest version. Raises StoreError."""

    def __init__(self, path: Path, called: str) -> None:
        self.path = path
        try:
            self.delta = DeltaTable(str(path))
        except TableNotFoundError:
            raise StoreError(
                f"{path}: no {called} table here yet; ingest, train and score, in this order"
            ) from None
        except DeltaError as error:
            raise StoreError(f"{path}: the {called} table cannot be read: {error}") from None
        self.version = self.delta.version()
        self.partition_by = tuple(self.delta.metadata().partition_columns)

    def description(self) -> dict[str, Any]:
        """What Holdfast has said of the table; empty where another program made it."""
        try:
            found = json.loads(self.delta.metadata().description or "{}")
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    def schema(self) -> dict[str, pl.DataType]:
        empty = pl.from_arrow(pa.schema(self.delta.schema().to_arrow()).empty_table())
        assert isinstance(empty, pl.DataFrame)
        return dict(empty.schema)

    def number(self, name: str) -> int | None:
        """What a commit has recorded last under `name`."""
        return self.delta.transaction_version(name)

    def files(self) -> list[LogFile]:
        """By path."""
        actions = pl.DataFrame(self.delta.get_add_actions(flatten=True))
        return [self._file(row) for row in actions.sort("path").iter_rows(named=True)]

    def _file(self, row: Mapping[str, Any]) -> LogFile:
        logged = row["path"]
        parsed = urlparse(logged)
        path = Path(unquote(parsed.path)) if parsed.scheme else self.path / unquote(logged)
        found = {name: row[f"partition.{name}"] for name in self.partition_by}
        values = {name: None if v is None else str(v) for name, v in found.items()}
        return LogFile(path, values, int(row["num_records"]), logged)

    def checkpoint(self) -> None:
        """Writes the whole state of this version down, so that it needs no earlier log."""
        try:
            self.delta.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise _known(self.path, error) from error

    def write(
        self,
        kind: TableKind,
        add: Sequence[Part],
        remove: Sequence[Path],
        facts: Mapping[str, int],
        mode: Literal["append", "overwrite"] = "append",
        retries: int = RETRIES,
    ) -> None:
        """Makes the next version; with `overwrite`, of the parts `add` alone.

        Raises StoreError where others have removed the same files or recorded the same names
        meanwhile, or have made any version at all and `retries` is 0.
        """
        schema = delta_schema(kind)
        if mode == "append" and schema != self.delta.schema():
            raise self._misfit(schema)
        actions: list[AddAction | RemoveAction] = [*map(_add, add), *self._removals(remove)]
        try:
            self.delta.create_write_transaction(
                actions,
                mode,
                schema,
                list(kind.partition_by),
                commit_properties=_properties(facts, retries),
            )
        except (DeltaError, OSError) as error:
            raise _known(self.path, error) from error

    def _misfit(self, meant: Schema) -> StoreError:
        shown = [", ".join(f.name for f in s.fields) for s in (self.delta.schema(), meant)]
        return StoreError(
            f"{self.path}: has the columns {shown[0]}; the rows to add have {shown[1]}, or other "
            "types; ingest the sources into a new store"
        )

    def _removals(self, remove: Sequence[Path]) -> list[RemoveAction]:
        known = {file.path: file for file in self.files()} if remove else {}
        for path in remove:
            if path not in known:
                raise beaten(self.path, f"{path.name} is in it no more")
        files = [known[path] for path in remove]
        return [
            RemoveAction(f.logged, True, _now_ms(), partition_values=dict(f.partition))
            for f in files
        ]


def create(path: Path, kind: TableKind, add: Sequence[Part], facts: Mapping[str, int]) -> bool:
    """Makes a table of the parts `add`; False where another process has been faster."""
    make_folder(path)
    try:
        create_table_with_add_actions(
            str(path),
            delta_schema(kind),
            [_add(part) for part in add],
            partition_by=list(kind.partition_by),
            name=f"holdfast.{kind.name}",
            description=kind.description,
            commit_properties=_properties(facts, retries=0),  # never on top of another table
        )
    except (DeltaError, OSError) as error:
        if exists(path):
            return False
        raise _known(path, error) from error
    return True


def delta_schema(kind: TableKind) -> Schema:
    return Schema.from_arrow(arrow_schema(kind))


def arrow_schema(kind: TableKind) -> pa.Schema:
    """As Delta has it: without dictionaries, views or large offsets, which it does not know."""
    empty = pl.DataFrame(schema=dict(kind.schema)).to_arrow()
    return pa.schema([pa.field(f.name, _plain(f.type), nullable=True) for f in empty.schema])


def _plain(found: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(found):
        return _plain(found.value_type)
    if pa.types.is_large_string(found) or pa.types.is_string_view(found):
        return pa.string()
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return pa.list_(_plain(found.value_type))
    return found


def beaten(path: Path, how: str) -> StoreError:
    return StoreError(f"{path}: another process has changed the table meanwhile ({how}); run again")


def _known(path: Path, error: Exception) -> HoldfastError:
    if known := from_foreign(error, str(path)):
        return known
    if isinstance(error, CommitFailedError):
        return beaten(path, str(error).splitlines()[0])
    return OutputError(f"{path}: {error}")


def _properties(facts: Mapping[str, int], retries: int) -> CommitProperties:
    transactions = [Transaction(name, number) for name, number in facts.items()]
    return CommitProperties(app_transactions=transactions, max_commit_retries=retries)


def _add(part: Part) -> AddAction:
    return AddAction(
        path=part.path.as_posix(),
        size=part.size_bytes,
        partition_values=dict(part.partition),
        modification_time=_now_ms(),
        data_change=True,
        stats=json.dumps({"numRecords": part.rows}),
    )


def _now_ms() -> int:
    return int(time.time() * 1000)
