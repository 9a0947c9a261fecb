from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from runtime import tables
from runtime.errors import StoreError
from runtime.tables import TableKind

KIND = TableKind(
    "things",
    1,
    {"name": pl.String(), "size": pl.Int64(), "bucket": pl.Int32()},
    ("bucket",),
)


def _frame(bucket: int, *names: str) -> pl.DataFrame:
    return pl.DataFrame({"name": names, "size": range(len(names)), "bucket": bucket})


def _names(path: Path, **partition: int) -> list[str]:
    table = tables.open_table(path, KIND)
    return sorted(table.scan(**partition).collect()["name"].to_list())


def test_a_commit_records_its_keys_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "t"
    assert tables.committed(path, ["a"]) == set()
    tables.append(path, KIND, [_frame(0, "x"), _frame(1, "y")], keys=["a"])
    assert tables.committed(path, ["a", "b"]) == {"a"}
    assert _names(path) == ["x", "y"]
    assert _names(path, bucket=1) == ["y"]
    assert _names(path, bucket=7) == []


def test_a_failing_stream_commits_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])

    def stream():  # type: ignore[no-untyped-def]
        yield _frame(0, "y")
        raise ValueError("broken source")

    with pytest.raises(Exception, match="broken source"):
        tables.append(path, KIND, stream(), keys=["b"])
    assert _names(path) == ["x"]
    assert tables.committed(path, ["b"]) == set()


def test_replace_touches_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.replace(path, KIND, [_frame(0, "x"), _frame(1, "y")], "bucket = 0")
    tables.replace(path, KIND, [_frame(0, "z")], "bucket = 0")
    assert _names(path) == ["y", "z"]


def test_an_opened_table_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])
    table = tables.open_table(path, KIND)
    tables.append(path, KIND, [_frame(0, "y")])
    assert table.scan().collect().height == 1
    assert tables.open_table(path, KIND).version == table.version + 1


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])
    newer = TableKind("things", 2, KIND.schema, KIND.partition_by)
    with pytest.raises(StoreError, match="schema version 1, this Holdfast reads version 2"):
        tables.open_table(path, newer)
    with pytest.raises(StoreError, match="is not a table of others"):
        tables.open_table(path, TableKind("others", 1, KIND.schema))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no things table"):
        tables.open_table(tmp_path / "t", KIND)
