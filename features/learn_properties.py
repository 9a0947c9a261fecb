"""Which properties of events are numbers, and which are texts that come again.

Learned from the log before a cutoff, and from nothing at or after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import polars as pl

from events.properties import names_in
from events.propose_names import KEYS, NUMBERS
from events.propose_words import words_of
from events.store import EventStore, known_before
from features.properties import Category, Mark, Number, read_number, text_of
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Features

CPU = Device("cpu", "a look at the log")
SAMPLED_ROWS = 500_000  # of which the properties are looked at
LOOKED_AT = 40  # names, the most frequent
LEAST_SHARE = 0.99  # of the values, that can be read
LARGE = 1e6  # where most are whole numbers from here on, they are ids or instants
MOST_DIFFERENT = 0.8  # of the rows: what hardly comes again is an id or free text
COMMON = 0.02  # of a property's rows, for a value to have columns of its own
MOST_VALUES = 4
LONGEST = 60  # letters of such a value
DATE = (
    r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
    r"|^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"  # 20170228
)
IDS = {*KEYS, "ids", "sku", "zip"} - {*NUMBERS}  # last words of names of whole numbers


def learn_properties(
    store: EventStore, before: Cutoff, rows: int, limits: Features
) -> tuple[tuple[Number, ...], tuple[Category, ...]]:
    """The most frequent of each, sorted by name; none that a share of `rare_share` of the rows or
    less has, or that is the same everywhere.

    Reads the events of some users before `before`, where all users have so many rows.
    """
    if not limits.most_numbers and not limits.most_categories:
        return (), ()
    one_in = max(rows // SAMPLED_ROWS, 1)
    held = pl.concat(_sample(store, bucket, before, one_in) for bucket in store.buckets)
    counts = names_in(held.lazy())
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:LOOKED_AT]
    numbers: list[Number] = []
    categories: list[Category] = []
    for name in frequent:
        if counts[name] <= limits.rare_share * rows / one_in:
            continue
        told = held.lazy().select(text=text_of(name)).drop_nulls().group_by("text")
        texts = collect(told.agg(rows=pl.len()), CPU)
        if number := _number(name, texts):
            numbers.append(number)
        elif category := _category(name, texts):
            categories.append(category)
    return (
        tuple(sorted(numbers[: limits.most_numbers], key=lambda one: one.name)),
        tuple(sorted(categories[: limits.most_categories], key=lambda one: one.name)),
    )


def _sample(store: EventStore, bucket: int, before: Cutoff, one_in: int) -> pl.DataFrame:
    """Of some users, by their hash: it depends on neither buckets nor order."""
    known = store.scan(bucket).filter(known_before(before.at), pl.col("properties").is_not_null())
    some = known.filter(pl.col("user_id").hash(seed=0) % one_in == 0)
    return collect(some.select("properties"), CPU)


def _number(name: str, texts: pl.DataFrame) -> Number | None:
    """None where it is no number, an id, or the same everywhere."""
    looks = {mark: _look(texts, mark) for mark in get_args(Mark)}
    decimal: Mark = "," if looks[","]["read"] > looks["."]["read"] else "."
    look, there = looks[decimal], int(texts["rows"].sum())
    if look["read"] < LEAST_SHARE * there or look["least"] == look["most"]:
        return None
    if look["whole"] == look["read"] and IDS.intersection(words_of(name)[-1:]):
        return None
    return None if look["large"] > look["read"] / 2 else Number(name, decimal)


def _look(texts: pl.DataFrame, decimal: Mark) -> Mapping[str, float]:
    value, rows = read_number(pl.col("text"), decimal), pl.col("rows")
    whole = value == value.floor()
    figures = texts.lazy().select(
        read=rows.filter(value.is_not_null()).sum(),
        whole=rows.filter(whole).sum(),
        large=rows.filter(whole & (value.abs() >= LARGE)).sum(),
        least=value.min(),
        most=value.max(),
    )
    return collect(figures, CPU).row(0, named=True)


def _category(name: str, texts: pl.DataFrame) -> Category | None:
    """None where it is a date, free text, an id of the row, or the same everywhere."""
    there = int(texts["rows"].sum())
    dates = int(texts.filter(pl.col("text").str.contains(DATE))["rows"].sum())
    if not 1 < len(texts) <= MOST_DIFFERENT * there or dates >= LEAST_SHARE * there:
        return None
    short = pl.col("text").str.len_chars().is_between(1, LONGEST)
    common = texts.filter(short, pl.col("rows") >= COMMON * there)
    most = common.sort("rows", "text", descending=[True, False])["text"].head(MOST_VALUES)
    return Category(name, tuple(sorted(most)))
