"""The users behind a figure of a funnel, as a file: who reached a step, or dropped at it.

As many rows as the figure says, written a bucket at a time; ids go there and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from retention.funnel import Funnel
from retention.funnel_count import Asked, listed
from retention.funnel_value import OTHERS, VALUE
from retention.steps import FunnelQuestion
from runtime.errors import UsageError
from runtime.lists import check_list, write_list


@dataclass(frozen=True)
class Wanted:
    """`step`: from 1. `dropped`: only those who did not reach the next. `value`: the label of
    one group of a funnel that is broken down; None: everyone."""

    step: int
    dropped: bool
    value: str | None = None


@dataclass(frozen=True)
class Listed:
    file: Path
    rows: int

    def to_json(self) -> dict[str, Any]:
        return {"file": str(self.file), "rows": self.rows}


def wanted(
    asked: FunnelQuestion,
    path: Path | None,
    dropped: int | None,
    reached: int | None,
    value: str | None = None,
) -> Wanted | None:
    """None where no list is asked for. Raises UsageError for half of what it takes, a step that
    the funnel has not, a value without a breakdown, or a file that is no list; OutputError."""
    if dropped is None and reached is None:
        if path is None and value is None:
            return None
        raise UsageError("a list of users takes --dropped STEP or --reached STEP; add one")
    if dropped is not None and reached is not None:
        raise UsageError("--dropped and --reached name two lists; leave one out")
    if path is None:
        raise UsageError("a list of users goes to a file; name it with --users FILE")
    check_list(path)
    option, step, last = "--reached", reached, len(asked.steps)
    if step is None:
        option, step, last = "--dropped", dropped, len(asked.steps) - 1
    if step is None or not 1 <= step <= last:
        raise UsageError(
            f"{option} {step}: the funnel has {len(asked.steps)} steps; choose 1 to {last}"
        )
    if value is not None and asked.by is None:
        raise UsageError(f"--value {value}: the funnel is not broken down; add --by NAME")
    return Wanted(step, reached is None, value)


def write_users(asked: Asked, found: Funnel, users: Wanted, path: Path) -> Listed:
    """A file of the users of one figure of `found`, the answer to `asked`; whole or absent.

    Columns: user_id as in the source, reached (the last step, from 1), started and at (UTC, of
    the attempt that led there first); of a broken down funnel also value and others. Rows by
    bucket, in it by user. Raises UsageError, OutputError.
    """
    chosen = pl.col("reached") == users.step if users.dropped else pl.col("reached") >= users.step
    chosen &= in_group(found, users)
    parts = (part.filter(chosen) for part in listed(asked, found.top))
    return Listed(path, write_list(path, parts))


def in_group(found: Funnel, users: Wanted) -> pl.Expr:
    """Whether a listed user is of the group wanted. Raises UsageError where there is none."""
    if users.value is None:
        return pl.lit(value=True)
    for group in found.groups:
        if group.label == users.value:
            mine = pl.col(VALUE).eq_missing(pl.lit(group.value, pl.String))
            return mine & (pl.col(OTHERS) == group.others)
    known = ", ".join(group.label for group in found.groups)
    raise UsageError(f"--value {users.value}: no such value in the table; it has {known}")
