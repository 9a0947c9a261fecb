"""Parquet is read alike by Polars and by pyarrow, whatever its row groups."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events import parquet_reader
from events.parquet_reader import parquet_rows, read_parquet
from runtime.errors import InputError
from runtime.settings_sources import FileFormat

FORM = FileFormat(path="x")
MOMENT = datetime(2024, 7, 2, 10, 30)
PLAIN = {
    "text": pa.array(["é", None, ""]),
    "large text": pa.array(["é", None, ""], pa.large_string()),
    "small": pa.array([1, None, -3], pa.int8()),
    "large": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "half": pa.array([1.5, None, float("nan")], pa.float32()),
    "double": pa.array([1.5, None, float("inf")]),
    "flag": pa.array([True, None, False]),
    "day": pa.array([date(2024, 1, 1), None, date(1, 1, 1)]),
    "s": pa.array([MOMENT, None, MOMENT], pa.timestamp("s")),
    "ms": pa.array([MOMENT, None, MOMENT], pa.timestamp("ms")),
    "ns": pa.array([MOMENT, None, MOMENT], pa.timestamp("ns")),
    "utc": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "UTC")),
    "zone": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "Europe/Berlin")),
    "offset": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "+02:00")),
}
OTHER = {
    "category": pa.array(["a", None, "b"]).dictionary_encode(),
    "decimal": pa.array([Decimal("1.50"), None, Decimal(0)]),
    "bytes": pa.array([b"a", None, b""]),
    "list": pa.array([[1], None, []]),
    "none": pa.nulls(3),
    "half float": pa.array([1.5, None, 2.0], pa.float16()),
    "date64": pa.array([date(2024, 1, 1), None, None], pa.date64()),
}


def whole(path: Path) -> pl.DataFrame:
    batches = list(read_parquet(path, FORM))
    lines = pl.concat([batch.lines for batch in batches])
    assert lines.to_list() == list(range(1, len(lines) + 1))
    return pl.concat([batch.rows for batch in batches])


@pytest.mark.parametrize("stored_schema", [True, False])
@pytest.mark.parametrize("name", [*PLAIN, *OTHER])
def test_every_type_is_what_pyarrow_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stored_schema: bool
) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({name: (PLAIN | OTHER)[name]}), path, store_schema=stored_schema)
    found = whole(path)
    monkeypatch.setattr(parquet_reader, "_PLAIN", ())
    expected = whole(path)
    assert found.schema == expected.schema
    assert found.equals(expected)


@pytest.mark.parametrize("row_group", [1, 7, 10, 100])
@pytest.mark.parametrize("batch", [1, 5, 10, 25, 1_000])
def test_row_groups_and_batches_change_nothing(tmp_path: Path, row_group: int, batch: int) -> None:
    frame = pl.DataFrame({"user": [f"u{i}" for i in range(40)], "n": range(40)})
    path = tmp_path / "log [1].parquet"
    frame.write_parquet(path, row_group_size=row_group)
    parts = [found.rows for found in read_parquet(path, FORM, batch)]
    assert pl.concat(parts).equals(frame)
    assert max(part.height for part in parts) <= batch
    assert parquet_rows(path) == 40


def test_wide_rows_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_reader, "BATCH_BYTES", 10_000)
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame({"text": [f"{i:0500}" for i in range(200)]})
    frame.write_parquet(path, row_group_size=10)
    heights = [found.rows.height for found in read_parquet(path, FORM)]
    assert sum(heights) == 200
    assert max(heights) <= 20


def test_an_empty_file_has_no_batch_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame(schema={"user": pl.String}).write_parquet(path)
    assert sum(batch.rows.height for batch in read_parquet(path, FORM)) == 0


@pytest.mark.parametrize("plain", [True, False])
def test_a_page_of_noise_is_a_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame({"ts": pl.Series([datetime(2024, 1, 1, tzinfo=UTC)] * 9), "n": range(9)})
    frame.write_parquet(path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4:120] = bytes(range(116))
    path.write_bytes(data)
    if not plain:
        monkeypatch.setattr(parquet_reader, "_PLAIN", ())
    with pytest.raises(InputError, match=r"log.parquet: is cut off or not Parquet .*; fetch"):
        whole(path)
