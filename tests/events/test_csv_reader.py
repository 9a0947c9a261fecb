"""Delimited text: what the readers make of it, against Python's csv module."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.csv_reader import read_csv
from events.sniff import delimiter_of
from runtime.errors import SchemaError
from runtime.settings_sources import FileFormat

LAYOUT = FileFormat(path="-", delimiter=",")


def _read(
    path: Path, layout: FileFormat = LAYOUT, block: int = 1 << 20
) -> tuple[pl.DataFrame, ...]:
    batches = list(read_csv(path, layout, block))
    rows = pl.concat([b.rows.with_columns(b.lines.alias("#")) for b in batches], how="diagonal")
    return rows, pl.concat([b.rejects for b in batches]).sort("line")


FIELD = st.text(alphabet='ab,"\n é;', max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=12), block=st.integers(8, 200))
def test_any_quoted_text_comes_back_whatever_the_block_size(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], block: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("x", "y", "z"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.getvalue().encode())
    found, rejects = _read(path, block=block)
    assert found.select("x", "y", "z").rows() == rows
    assert rejects.height == 0


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), block=st.integers(4, 64))
def test_any_bytes_give_rows_or_rejects_whatever_the_block_size(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"x,y\n" + data)
    rows, rejects = _read(path, block=block)
    whole_rows, whole_rejects = _read(path)
    assert rows.rows() == whole_rows.rows()
    assert rejects.select("line").equals(whole_rejects.select("line"))


def test_a_bad_line_costs_one_row_and_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'x,y\n1,2\n1,2,3\n\n\xff,4\n5,6\n"7,8\n9,10\n11\n12,13\n')
    rows, rejects = _read(path)
    assert rows["x"].to_list() == ["1", "5", "9", "12"]
    assert rows["#"].to_list() == [2, 6, 8, 10]
    assert rejects["line"].to_list() == [3, 5, 7, 9]
    assert rejects["reason"].to_list() == [
        "3 fields where 2 are expected",
        "not UTF-8 text",
        "a quote that is opened and not closed",
        "1 fields where 2 are expected",
    ]
    assert rejects["raw"].to_list() == ["1,2,3", "\ufffd,4", '"7,8', "11"]


@pytest.mark.parametrize("block", [64, 1 << 20, 1 << 25])
def test_an_overlong_line_is_rejected_and_reading_goes_on(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n1,2\n" + b"z" * 3_000_000 + b",4\n5,6\n")
    rows, rejects = _read(path, block=block)
    assert rows["#"].to_list() == [2, 4]
    assert rejects["line"].to_list() == [3]
    assert rejects["raw"].str.len_chars().to_list() == [4096]


def test_layouts_mean_the_same_rows(tmp_path: Path) -> None:
    expected = [("007", "2024-01-01", "1.5"), ("8", "2024-01-02", "")]
    written = {
        "comma.csv": b"u,t,a\n007,2024-01-01,1.5\n8,2024-01-02,\n",
        "bom.csv": b"\xef\xbb\xbfu,t,a\r\n007,2024-01-01,1.5\r\n8,2024-01-02,\r\n",
        "semi.csv": b"u;t;a\n007;2024-01-01;1.5\n8;2024-01-02;",
        "tab.tsv": b"u\tt\ta\n007\t2024-01-01\t1.5\n8\t2024-01-02\t\n",
        "pipe.txt": b"u|t|a\n007|2024-01-01|1.5\n8|2024-01-02|\n",
        "mac.csv": b"u,t,a\r007,2024-01-01,1.5\r8,2024-01-02,\r",
        "quoted.csv": b'"u","t","a"\n"007","2024-01-01","1.5"\n"8","2024-01-02",""\n',
        "zipped.csv.gz": gzip.compress(b"u,t,a\n007,2024-01-01,1.5\n8,2024-01-02,\n"),
    }
    for name, content in written.items():
        path = tmp_path / name
        path.write_bytes(content)
        rows, rejects = _read(path, FileFormat(path="-"))
        assert rows.select("u", "t", "a").rows() == expected, name
        assert rejects.height == 0, name


def test_runs_of_blanks_part_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b" id   date \t n\r\n 00001 19970101  1\r\n\r\n  2  19970112   5 \r\n")
    assert delimiter_of(path) == "whitespace"
    rows, _ = _read(path, FileFormat(path="-"), block=16)
    assert rows.rows() == [("00001", "19970101", "1", 2), ("2", "19970112", "5", 4)]


def test_without_a_header_columns_are_numbered_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n3,4\n")
    rows, _ = _read(path, FileFormat(path="-", header=False))
    assert rows.columns == ["column_1", "column_2", "#"]
    rows, _ = _read(path, FileFormat(path="-", header=False, names=("u", "t")))
    assert rows["u"].to_list() == ["1", "3"]
    rows, _ = _read(path, FileFormat(path="-", names=("u", "t")))
    assert rows["u"].to_list() == ["3"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"u,u\n1,2\n")
    with pytest.raises(SchemaError, match="two columns are called 'u'"):
        _read(path)
