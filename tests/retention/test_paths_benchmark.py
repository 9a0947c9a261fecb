"""The benchmark of paths: what it compares is equal."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from benchmarks.features import prepare, settings_in
from benchmarks.retention_paths import duckdb_sql, floor, ours


def test_the_rival_finds_the_same(tmp_path: Path) -> None:
    prepare(tmp_path, 30_000, 3)  # few users do much: long sessions
    glob = str(settings_in(tmp_path).store / "events" / "**" / "*.parquet")
    with duckdb.connect() as connection:
        theirs = connection.sql(duckdb_sql(glob)).pl()
    found = ours(tmp_path)
    assert found.height > 100
    assert found["path"].str.ends_with("(cut)").any()
    assert found["path"].str.ends_with("(still open)").any()
    assert theirs.select(found.columns).sort("path").equals(found)
    assert floor(tmp_path).item() == 30_000
    assert isinstance(found, pl.DataFrame)
