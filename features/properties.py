"""Numbers among the properties of events: minutes, megabytes, ratings, seats.

Properties are kept as text in one JSON object a row (`events.columns.as_json_object`). Which of
them are numbers is learned from the log, from nothing at or after a cutoff.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl

from events.properties import names_in
from events.store import EventStore, known_before
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "a look at the log")
SAMPLED_ROWS = 500_000  # of which the properties are looked at
LOOKED_AT = 40  # names, the most frequent
LEAST_SHARE = 0.99  # of the values, that can be read
LARGE = 1e6  # where most are whole numbers from here on, they are ids or instants
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
        return _read(_text(self.name), self.decimal)


def learn_numbers(
    store: EventStore, before: Cutoff, rows: int, most: int, rare_share: float
) -> tuple[Number, ...]:
    """The most frequent properties that are numbers and not all the same, sorted by name; no ids,
    and none that a share of `rare_share` of the rows or less has.

    Reads the events of some users before `before`, where all users have so many rows.
    """
    if not most:
        return ()
    one_in = max(rows // SAMPLED_ROWS, 1)
    plans = [_sample(store.scan(bucket), before, one_in) for bucket in store.buckets]
    counts: dict[str, int] = {}
    for plan in plans:
        for name, count in names_in(plan).items():
            counts[name] = counts.get(name, 0) + count
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:LOOKED_AT]
    names = [name for name in frequent if counts[name] > rare_share * rows / one_in]
    if not names:
        return ()
    looks = pl.concat(collect(plan.select(_look(names)), CPU) for plan in plans)
    found = [_number(name, place, looks) for place, name in enumerate(names)]
    return tuple(sorted([one for one in found if one][:most], key=lambda one: one.name))


def _sample(events: pl.LazyFrame, before: Cutoff, one_in: int) -> pl.LazyFrame:
    """Of some users, by their hash: it depends on neither buckets nor order."""
    known = events.filter(known_before(before.at), pl.col("properties").is_not_null())
    return known.filter(pl.col("user_id").hash(seed=0) % one_in == 0)


def _look(names: Sequence[str]) -> list[pl.Expr]:
    found = []
    for place, name in enumerate(names):
        text = _text(name)
        found.append(text.is_not_null().sum().alias(f"{place} there"))
        for decimal in get_args(Mark):
            value = _read(text, decimal)
            large = (value.abs() >= LARGE) & (value == value.floor())
            for what, figure in (
                ("read", value.is_not_null().sum()),
                ("large", large.sum()),
                ("least", value.min()),
                ("most", value.max()),
            ):
                found.append(figure.alias(f"{place} {what} {decimal}"))
    return found


def _number(name: str, place: int, looks: pl.DataFrame) -> Number | None:
    """None where it is no number, an id, or the same everywhere."""

    def read(decimal: Mark) -> int:
        return int(looks[f"{place} read {decimal}"].sum())

    decimal: Mark = "," if read(",") > read(".") else "."
    least, most = looks[f"{place} least {decimal}"].min(), looks[f"{place} most {decimal}"].max()
    large = int(looks[f"{place} large {decimal}"].sum())
    there = int(looks[f"{place} there"].sum())
    if read(decimal) < LEAST_SHARE * there or least == most:
        return None
    return None if large > read(decimal) / 2 else Number(name, decimal)


def _text(name: str) -> pl.Expr:
    """A key of ours stands after `{` or `,`, and no quote within a text is without a backslash."""
    key = pl.escape_regex(json.dumps(name, ensure_ascii=False))
    return pl.col("properties").str.extract(f'[{{,]{key}:"((?:[^"\\\\]|\\\\.)*)"')


def _read(text: pl.Expr, decimal: Mark) -> pl.Expr:
    if decimal == ",":
        plain = text
        for parting in _PARTING:  # a pattern of them is not translated to cuDF
            plain = plain.str.replace_all(parting, "", literal=True)
        decimal_point = plain.str.replace(",", ".", literal=True)
        text = pl.when(text.str.contains(_WITH_COMMA)).then(decimal_point)
    value = text.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value.clip(-LARGEST, LARGEST))
