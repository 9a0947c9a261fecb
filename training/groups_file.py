"""Every user's group as a file for other tools; ids go there and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from runtime.clock import show
from runtime.errors import UsageError
from runtime.files import check_file, write_atomic
from training.groups_model import GroupModel

WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], None]] = {
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".csv": lambda frame, path: frame.write_csv(path),
}


def require_writable(path: Path) -> None:
    """Before the work, not after it. Raises UsageError, OutputError."""
    if path.suffix not in WRITERS:
        raise UsageError(f"--out {path}: ends with none of {', '.join(WRITERS)}; name it so")
    check_file(path, "--out")


def write_groups(path: Path, rows: pl.DataFrame, model: GroupModel, as_of: datetime) -> Path:
    """`user_id` as in the source, `group`, `name`, `core` and `as_of`, by user; whole or absent."""
    names = pl.DataFrame(
        {
            "group": pl.Series(model.numbers, dtype=pl.Int8),
            "name": [model.name(number) for number in model.numbers],
            "core": [model.is_core(number) for number in model.numbers],
        }
    )
    table = rows.select("user_id", "group").join(names, on="group", how="left")
    table = table.with_columns(as_of=pl.lit(show(as_of))).sort("user_id")
    return write_atomic(path, lambda draft: WRITERS[path.suffix](table, draft))
