"""What a family of features is: sums over a user's rows, columns made of them, and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from features.time import Cutoff, Window

Unit = Literal["days", "minutes", "count", "money", "share", "ratio", "number", "flag"]

DAY_US = 24 * 60 * 60 * 1_000_000
MINUTE_US = 60 * 1_000_000


@dataclass(frozen=True)
class Feature:
    """What a column is, for people.

    `said` is half a sentence about one value: '{}' stands for the value, rounded and with its
    unit, '[one|many]' for the word that fits the number. `missing` is said for null.
    """

    name: str
    description: str
    unit: Unit
    window_days: int | None
    said: str
    missing: str


@dataclass(frozen=True)
class Column:
    feature: Feature
    value: pl.Expr


@dataclass(frozen=True)
class Family:
    """`sums`: aggregations over a user's prepared rows, by name; `kind_sums`: over the rows of
    features.kinds; `columns`: over all the sums."""

    sums: Mapping[str, pl.Expr] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    kind_sums: Mapping[str, pl.Expr] = field(default_factory=dict)


def column(
    name: str,
    unit: Unit,
    description: str,
    said: str,
    value: pl.Expr,
    window: Window | None = None,
    missing: str = "",
) -> Column:
    days = window.days if window else None
    return Column(Feature(name, description, unit, days, said, missing), value)


def in_window(cutoff: Cutoff, window: Window) -> pl.Expr:
    """Whether a row lies in `[t - w, t)`, given that it lies before t."""
    return pl.col("ts") >= cutoff.at - window.length


def linked(cutoff: Cutoff, window: Window | None) -> pl.Expr:
    """Whether an active row and the active row before it both lie in the window."""
    if window is None:
        return pl.col("before").is_not_null()
    return (pl.col("before") >= cutoff.at - window.length).fill_null(value=False)


def count(rows: pl.Expr) -> pl.Expr:
    return rows.sum().cast(pl.Int64)


def days_before(cutoff: Cutoff, instant: str) -> pl.Expr:
    """Days from an instant to the cutoff, Float64."""
    passed = pl.lit(cutoff.at, dtype=pl.Datetime("us", "UTC")) - pl.col(instant)
    return passed.dt.total_microseconds() / DAY_US


def ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """Null where `below` is not positive."""
    return pl.when(below > 0).then(above / below)
