"""What a family of features is: measures of a user's rows, columns made of them, and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Literal, get_args

import polars as pl

from features.measure import DAY_US, MINUTE_US, Measure, within
from features.time import Window

Unit = Literal["days", "minutes", "count", "money", "share", "ratio", "number", "flag", "ahead"]
UNITS: tuple[Unit, ...] = get_args(Unit)


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
    """`value` reads measures (features.measure.within), `cutoff` and users' attributes."""

    feature: Feature
    value: pl.Expr


@dataclass(frozen=True)
class Family:
    measures: Mapping[str, Measure] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()


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


def days_since(instant: str) -> pl.Expr:
    """Days from an instant to the cutoff, Float64."""
    return (pl.col("cutoff") - pl.col(instant)).dt.total_microseconds() / DAY_US


def ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """Null where `below` is not positive."""
    return pl.when(below > 0).then(above / below)


def entropy(counts: list[pl.Expr]) -> pl.Expr:
    """Shannon's, in bits, of counts; null where they sum to nothing."""
    total = pl.sum_horizontal(counts)
    plogp = [pl.when(n > 0).then(n / total * (n / total).log()).otherwise(0.0) for n in counts]
    bits = -_added(plogp) / LN2
    return pl.when(total > 0).then(pl.max_horizontal(bits, 0.0))


def herfindahl(counts: list[pl.Expr]) -> pl.Expr:
    """Sum of squared shares of counts: 1 where all is one; null where they sum to nothing."""
    total = pl.sum_horizontal(counts)
    return pl.when(total > 0).then(_added([(n / total) * (n / total) for n in counts]))


def _added(terms: list[pl.Expr]) -> pl.Expr:
    """From left to right: `sum_horizontal` adds as its threads come, and rounds anew each time."""
    return reduce(add, terms)


def last_days(window: Window | None) -> str:
    return f"in the last {window.days} days" if window else "in all"


LN2 = 0.6931471805599453

__all__ = [
    "DAY_US",
    "MINUTE_US",
    "Column",
    "Family",
    "Feature",
    "Measure",
    "Unit",
    "column",
    "days_since",
    "entropy",
    "herfindahl",
    "last_days",
    "ratio",
    "within",
]
