"""Lists of users: whole or not at all, in parts, read back the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from runtime.errors import OutputError, UsageError
from runtime.lists import check_list, write_list

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
PARTS = [
    pl.DataFrame({"user_id": ["b", "a"], "at": [NOON, NOON], "n": [1, 2]}),
    pl.DataFrame(
        {"user_id": [], "at": [], "n": []}, schema_overrides={"user_id": pl.String()}
    ).cast({"at": pl.Datetime("us", "UTC"), "n": pl.Int64()}),
    pl.DataFrame({"user_id": ['c,"x"'], "at": [NOON], "n": [3]}),
]


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_every_row_of_every_part_is_there_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "folder" / name
    assert write_list(path, iter(PARTS)) == 3
    read = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    assert read["user_id"].to_list() == ["a", "b", 'c,"x"']
    assert read["n"].to_list() == [2, 1, 3]
    if path.suffix == ".csv":
        assert read["at"][0] == "2024-01-01T12:00:00.000000Z"
    else:
        assert read["at"][0] == NOON


def test_what_fails_half_way_leaves_the_old_list(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    write_list(path, iter(PARTS))
    before = path.read_bytes()

    def broken():
        yield PARTS[0]
        raise RuntimeError("the bucket cannot be read")

    with pytest.raises(RuntimeError):
        write_list(path, broken())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["list.csv"]


def test_an_ending_that_is_no_list_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--users list\.txt: a list is a \.csv or \.parquet file"):
        check_list(Path("list.txt"))
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_list(tmp_path / "x.csv")
