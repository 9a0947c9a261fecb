"""A tracking folder that was moved or copied: MLflow notes where files lie as whole addresses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def follow(database: Path, was: str, now: str) -> None:
    """Every address at or below the URI `was` becomes the same one of `now`, or, interrupted,
    none does."""
    if was == now:
        return
    with closing(sqlite3.connect(database, timeout=60)) as known, known:
        for table, columns in ADDRESSES.items():
            for column in columns:
                known.execute(
                    f"UPDATE {table} SET {column} = :now || substr({column}, length(:was) + 1) "
                    f"WHERE {column} = :was OR substr({column}, 1, length(:was) + 1) = :was || '/'",
                    {"was": was, "now": now},
                )
