"""Properties of events that are features: numbers (minutes, seats), texts (plan, product), and days
known in advance (until when a membership is paid).

Properties are kept as text in one JSON object a row (`events.columns.as_json_object`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from features.measure import DAY_US

YEARS = (1990, 2100)  # a day of others stands for none
LARGEST = 1e30  # sums of what is beyond are no numbers

Mark = Literal[".", ","]
Layout = Literal["ymd", "compact", "dmy", "mdy", "epoch_s", "epoch_ms"]
_PARTING = (".", " ", "\u00a0", "\u2009", "\u202f", "'", "’")  # thousands
_WITH_COMMA = rf"^[+-]?(?:\d+|\d{{1,3}}(?:[{''.join(_PARTING)}]\d{{3}})+)(?:,\d*)?$"
_PATTERNS = {
    "ymd": r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})",
    "compact": r"^(\d{4})(\d{2})(\d{2})$",
    "dmy": r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})",
    "mdy": r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})",
}
_PLACES = {"ymd": "ymd", "compact": "ymd", "dmy": "dmy", "mdy": "mdy"}
_A_DAY = {"epoch_s": 86_400, "epoch_ms": 86_400_000}


@dataclass(frozen=True)
class Number:
    """A property of events that is a number, and what parts its fractions. What lies below `least`
    or above `most` is a fault of measurement, and stands for none: one would drown a mean."""

    name: str
    decimal: Mark = "."
    least: float = -LARGEST
    most: float = LARGEST

    def read(self, text: pl.Expr) -> pl.Expr:
        """Float64; null for a text that is no such number."""
        value = read_number(text, self.decimal)
        return pl.when((value >= self.least) & (value <= self.most)).then(value)


@dataclass(frozen=True)
class Category:
    """A property of events whose texts come again; `values`: those with columns of their own,
    sorted, written as in the store's JSON."""

    name: str
    values: tuple[str, ...] = ()

    def read(self, text: pl.Expr) -> pl.Expr:
        """The text itself."""
        return text


@dataclass(frozen=True)
class Deadline:
    """A property of events that is a day known in advance: until when a membership is paid."""

    name: str
    layout: Layout = "ymd"

    def read(self, text: pl.Expr) -> pl.Expr:
        """Float64, whole days since 1970-01-01; null for a text that is no day."""
        return read_day(text, self.layout)


Property = Number | Category | Deadline


def text_of(name: str) -> pl.Expr:
    """Of a row of the log, written as in the store's JSON; null where it has none.

    A key of ours stands after `{` or `,`, and no quote within a text is without a
    backslash.
    """
    key = pl.escape_regex(json.dumps(name, ensure_ascii=False))
    return pl.col("properties").str.extract(f'[{{,]{key}:"((?:[^"\\\\]|\\\\.)*)"')


def read_number(text: pl.Expr, decimal: Mark) -> pl.Expr:
    if decimal == ",":
        plain = text
        for parting in _PARTING:  # a pattern of them is not translated to cuDF
            plain = plain.str.replace_all(parting, "", literal=True)
        decimal_point = plain.str.replace(",", ".", literal=True)
        text = pl.when(text.str.contains(_WITH_COMMA)).then(decimal_point)
    value = text.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def read_day(text: pl.Expr, layout: Layout) -> pl.Expr:
    """Whole days since 1970-01-01, Float64; null for what is no day of YEARS. A clock behind the
    day is not looked at, nor its zone."""
    if layout in _A_DAY:
        day = text.cast(pl.Float64, strict=False) // _A_DAY[layout]
    else:
        year, month, of_month = (_part(text, layout, part) for part in "ymd")
        written = pl.concat_str([year, month, of_month], separator="-")
        instant = written.str.to_datetime(
            "%Y-%m-%d", time_unit="us", strict=False, exact=True, cache=False
        )
        day = (instant.cast(pl.Int64) // DAY_US).cast(pl.Float64)
    first, last = ((datetime(year, 1, 1) - datetime(1970, 1, 1)).days for year in YEARS)
    return pl.when((day >= first) & (day < last)).then(day)


def _part(text: pl.Expr, layout: Layout, part: str) -> pl.Expr:
    return text.str.extract(_PATTERNS[layout], _PLACES[layout].index(part) + 1).str.zfill(2)


def plain(text: str) -> str:
    """A text as it was before it was written as JSON."""
    return str(json.loads(f'"{text}"'))
