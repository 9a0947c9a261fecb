"""The number of buckets comes from the size of the first ingest and stays."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from ingest_tools import HEAD, put, settings_in, table

from events import layout
from events.ingest import BUCKETS, ingest
from events.layout import buckets_for, estimate_rows
from runtime.errors import StoreError
from runtime.settings_sources import FileFormat
from runtime.tables import recorded

ROW = "1,user{},2024-03-01 10:00:00,view,\n"


@pytest.mark.parametrize(
    ("rows", "buckets"),
    [
        (0, 1),
        (1_000_000, 1),
        (1_000_001, 2),
        (2_000_001, 4),
        (50_000_000, 64),
        (64_000_000, 64),
        (10**10, 16_384),
        (10**12, 65_536),
    ],
)
def test_a_bucket_holds_a_million_rows_at_most(rows: int, buckets: int) -> None:
    assert buckets_for(rows) == buckets


def test_rows_are_counted_in_parquet_and_estimated_in_text(tmp_path: Path) -> None:
    text = HEAD + "".join(ROW.format(i * 7919 % 99_991) for i in range(60_000))
    plain = put(tmp_path, "a.csv", text)
    zipped = put(tmp_path, "b.csv.gz", gzip.compress(text.encode()))
    short = put(tmp_path, "c.csv", HEAD + ROW)
    pl.DataFrame({"n": range(12_345)}).write_parquet(tmp_path / "d.parquet")
    form = FileFormat(path="x")
    assert estimate_rows([(tmp_path / "d.parquet", form)]) == 12_345
    assert estimate_rows([(short, form)]) == 2  # the header is taken for a row
    for path in (plain, zipped):
        assert estimate_rows([(path, form)]) == pytest.approx(60_000, rel=0.05)
    assert estimate_rows([(plain, form), (short, form)]) == pytest.approx(60_000, rel=0.05)


def test_the_first_ingest_decides_and_the_store_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "BUCKET_ROWS", 10)
    put(tmp_path, "log.csv", HEAD + "".join(ROW.format(i) for i in range(35)))
    ingest(settings_in(tmp_path, events={"buckets": None}))
    assert recorded(tmp_path / "store" / "events", BUCKETS) == 4
    assert set(table(tmp_path)["bucket"]) == {0, 1, 2, 3}
    put(tmp_path, "more.csv", HEAD + "".join(ROW.format(i) for i in range(500)))
    ingest(settings_in(tmp_path, events={"buckets": None}))
    assert recorded(tmp_path / "store" / "events", BUCKETS) == 4
    assert table(tmp_path)["bucket"].n_unique() == 4
    with pytest.raises(StoreError, match=r"has 4 buckets, .* 8; .* optimize --buckets 8"):
        ingest(settings_in(tmp_path, events={"buckets": 8}))
