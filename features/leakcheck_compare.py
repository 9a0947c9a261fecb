"""What differs between two tables of features, by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

RELATIVE = 1e-9
# Beside it: a 1e-12th of the column's largest value, for the rounding of sums that cancel out.
OF_LARGEST = 1e-12
OTHER = "\0 in the other"
NO_COLUMN = "no such column"


@dataclass(frozen=True)
class Difference:
    """`users`: how many differ; `before`, `after`: the values of the first of them."""

    column: str
    users: int
    example_user: str
    before: Any
    after: Any


def differences(found: pl.DataFrame, other: pl.DataFrame) -> list[Difference]:
    """Users, columns and values that are not in both; `user_id` stands for the row itself.

    Whole numbers and texts are compared exactly, floats to 1e-9 of their size.
    """
    found, other = found.sort("user_id"), other.sort("user_id")
    told = [
        *_rows(found, other, "a row", "no row"),
        *_rows(other, found, "no row", "a row"),
        *_columns(found, other),
    ]
    shared = [n for n in found.columns if n in other.columns and n != "user_id"]
    if found["user_id"].equals(other["user_id"]):  # most columns are equal to the last bit
        shared = [n for n in shared if not found[n].equals(other[n], check_dtypes=True)]
    both = found.select("user_id", *shared).join(
        other.select("user_id", pl.col(shared).name.suffix(OTHER)), on="user_id"
    )
    differ = both.select(unequal(both, name).alias(name) for name in shared)
    for name in shared:
        if differ[name].any():
            rows = both.filter(differ[name])
            user, before, after = rows.select("user_id", name, name + OTHER).row(0)
            told.append(Difference(name, rows.height, str(user), before, after))
    return told


def _rows(one: pl.DataFrame, other: pl.DataFrame, before: str, after: str) -> list[Difference]:
    alone = one.join(other, on="user_id", how="anti")
    if not alone.height:
        return []
    return [Difference("user_id", alone.height, str(alone["user_id"].min()), before, after)]


def _columns(found: pl.DataFrame, other: pl.DataFrame) -> list[Difference]:
    told = []
    for one, another in ((found, other), (other, found)):
        for name in (n for n in one.columns if n not in another.columns and one.height):
            user, value = one.select("user_id", name).row(0)
            seen = (value, NO_COLUMN) if one is found else (NO_COLUMN, value)
            told.append(Difference(name, one.height, str(user), *seen))
    return told


def unequal(both: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a column differs from the one of the same name and OTHER."""
    ours, theirs = both.schema[name], both.schema[name + OTHER]
    a, b = pl.col(name), pl.col(name + OTHER)
    if ours.is_numeric() and theirs.is_numeric() and (ours.is_float() or theirs.is_float()):
        a, b = a.cast(pl.Float64), b.cast(pl.Float64)
        size = pl.max_horizontal(a.abs(), b.abs())
        finite = pl.when(a.is_finite()).then(a.abs()).max().fill_null(0)
        near = (a - b).is_finite() & (
            (a - b).abs() <= RELATIVE * size + OF_LARGEST * finite.clip(lower_bound=1)
        )
        return (a.is_null() != b.is_null()) | ~(near | (a == b)).fill_null(value=True)
    if ours == theirs or (ours.is_integer() and theirs.is_integer()):
        return a.ne_missing(b)
    return a.cast(pl.String).ne_missing(b.cast(pl.String))
