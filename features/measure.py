"""Measures: what is counted, summed or remembered of a user's rows before a cutoff.

A family of features declares its measures once. Two modules compute them: `features.aggregate`
as a Polars plan at one cutoff, on the CPU or on cuDF, and `features.prefix` for any number of
cutoffs at once from prefix sums. No measure names a cutoff, so none can look past it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from features.time import Window

Stream = Literal["events", "active", "days", "purchases"]
How = Literal["sum", "linked", "decay", "max", "last", "first", "latest"]
AT = "@"

ROW = pl.col("ts").is_not_null()  # true of every row: what is summed to count them

DAY_US = 24 * 60 * 60 * 1_000_000
MINUTE_US = 60 * 1_000_000


@dataclass(frozen=True)
class Measure:
    """`value` is an expression over one row of a stream (see features.streams).

    sum      of the values, ever or in a window `[t - w, t)`
    linked   the same, of rows whose predecessor lies in the window too; ever: of all rows,
             so a row without a predecessor must have a null value
    decay    sum of value * 2 ** -((t - ts) / half life), ever
    max      largest value ever
    last     the value of the stream's last row
    first    the instant of the stream's first row; `value` says nothing
    latest   the instant of the last row whose value is true

    A sum over no rows is 0, everything else is null. `real` tells Float64 from Int64. With a
    `code`, `value` is a column of codes and what counts is whether a row has this one.
    """

    stream: Stream
    value: pl.Expr
    how: How = "sum"
    real: bool = False
    half_life_days: float = 0.0
    code: int | None = None

    @property
    def of_row(self) -> pl.Expr:
        """The value of a row, whether the measure is of a code or not."""
        return self.value if self.code is None else self.value == self.code

    @property
    def is_instant(self) -> bool:
        return self.how in ("first", "latest")


def reference(name: str, days: int | None) -> str:
    """What a measure in a window, or ever, is called in expressions."""
    return name if days is None else f"{name}{AT}{days}"


def within(name: str, window: Window | None) -> pl.Expr:
    """A measure's value in a window; ever, where it is None."""
    return pl.col(reference(name, window.days if window else None))


def references(columns: Iterable[pl.Expr]) -> dict[str, set[int | None]]:
    """The measures that expressions read, each with its windows in days; None is ever."""
    found: dict[str, set[int | None]] = {}
    for expression in columns:
        for root in expression.meta.root_names():
            name, _, days = root.partition(AT)
            found.setdefault(name, set()).add(int(days) if days.isdecimal() else None)
    return found
