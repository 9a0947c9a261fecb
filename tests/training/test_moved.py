"""Addresses in MLflow's database after a move; the whole of it is in test_tracking.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from training.moved import ADDRESSES, follow


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as known, known:
        for table, columns in ADDRESSES.items():
            known.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        known.executemany(
            "INSERT INTO runs VALUES (?)",
            [
                ("file:///a/art",),
                ("file:///a/art/1",),
                ("file:///a/artful/1",),
                ("s3://b/1",),
                (None,),
            ],
        )
    return tmp_path / "mlflow.db"


def _uris(database: Path) -> list[str | None]:
    with closing(sqlite3.connect(database)) as known:
        return [uri for (uri,) in known.execute("SELECT artifact_uri FROM runs")]


def test_what_lay_below_the_old_place_lies_below_the_new(database: Path) -> None:
    follow(database, "file:///a/art", "file:///a/art/b%20c")
    found = _uris(database)
    assert found[:2] == ["file:///a/art/b%20c", "file:///a/art/b%20c/1"]
    assert found[2:] == ["file:///a/artful/1", "s3://b/1", None]


def test_all_or_nothing(database: Path) -> None:
    with closing(sqlite3.connect(database)) as known:
        known.execute("DROP TABLE model_versions")
    before = _uris(database)
    with pytest.raises(sqlite3.OperationalError, match="model_versions"):
        follow(database, "file:///a/art", "file:///b")
    assert _uris(database) == before
    follow(database, "file:///a/art", "file:///a/art")
