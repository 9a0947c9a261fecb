"""Properties of events that are features: numbers (minutes, seats) and texts (plan, product).

Properties are kept as text in one JSON object a row (`events.columns.as_json_object`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import polars as pl

LARGEST = 1e30  # as of amounts: sums of what is beyond are no numbers

Mark = Literal[".", ","]
_PARTING = (".", " ", "\u00a0", "\u2009", "\u202f", "'", "’")  # thousands
_WITH_COMMA = rf"^[+-]?(?:\d+|\d{{1,3}}(?:[{''.join(_PARTING)}]\d{{3}})+)(?:,\d*)?$"


@dataclass(frozen=True)
class Number:
    """A property of events that is a number, and what parts its fractions."""

    name: str
    decimal: Mark = "."

    @property
    def value(self) -> pl.Expr:
        """Of a row of the log, Float64; null where it has none that can be read."""
        return read_number(text_of(self.name), self.decimal)


@dataclass(frozen=True)
class Category:
    """A property of events whose texts come again; `values`: those with columns of their own,
    sorted, written as in the store's JSON."""

    name: str
    values: tuple[str, ...] = ()

    @property
    def value(self) -> pl.Expr:
        """Of a row of the log, String; null where it has none."""
        return text_of(self.name)


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
    return pl.when(value.is_finite()).then(value.clip(-LARGEST, LARGEST))


def plain(text: str) -> str:
    """A text as it was before it was written as JSON."""
    return str(json.loads(f'"{text}"'))
