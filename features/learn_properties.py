"""Which properties of events are numbers, which are texts that come again, and which are days known
in advance.

Learned from the log before a cutoff, and from nothing at or after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import TypeVar, get_args

import polars as pl

from events.in_advance import named_in_advance
from events.properties import names_in
from events.propose_names import KEYS, NUMBERS, THINGS, USERS
from events.propose_words import words_of
from events.store import EventStore, known_before
from features.properties import (
    LARGEST,
    Category,
    Deadline,
    Layout,
    Mark,
    Number,
    read_day,
    read_number,
    text_of,
)
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Features

T = TypeVar("T", Number, Category, Deadline)

CPU = Device("cpu", "a look at the log")
SAMPLED_ROWS = 500_000  # of which the properties are looked at
LOOKED_AT = 60  # names
KINDS = 20  # of event, the most frequent, each with properties of its own
LEAST_SHARE = 0.99  # of the values, that can be read
OUTSIDE = 0.001  # of the rows, on either side, that do not say what is usual
SLACK = 10  # times the width of what is usual, beyond it: counts grow, and faults are far out
LEAST_ROWS, ALIKE = 1_000, 0.99  # correlation with time, of what counts with the calendar
FEW_KINDS = 50  # ratings, counts of pieces
LARGE = 1e6  # where most are whole numbers from here on, they are ids or instants
MOST_DIFFERENT = 0.8  # of the rows: what hardly comes again is an id or free text
COMMON = 0.02  # of a property's rows, for a value to have columns of its own
MOST_VALUES = 4
LONGEST = 60  # letters of such a value
MOST_DEADLINES = 2  # where none are named
DATE = (
    r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
    r"|^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"  # 20170228
)
IDS = {  # last words of names of whole numbers that are no quantity
    *({*KEYS} - {*NUMBERS}),
    *(*USERS, *THINGS, "ids", "zip", "receiver", "recipient", "friend", "follower", "followee"),
    *("merchant", "seller", "shop", "store", "artist", "album", "playlist", "video", "course"),
}


def learn_properties(
    store: EventStore, before: Cutoff, rows: int, limits: Features
) -> tuple[tuple[Number, ...], tuple[Category, ...], tuple[Deadline, ...]]:
    """The most frequent of each, sorted by name: the kinds of event in turn, so that the busiest
    leaves room for others. None that a share of `rare_share` of the rows or less has, or that is
    the same everywhere. What a deadline's name promises no log before a cutoff can tell (a day may
    have been filled in afterwards), so there are none but those named so, or by the settings.

    Reads the events of some users before `before`, where all users have so many rows.
    """
    if not (limits.most_numbers or limits.most_categories) and limits.deadlines == ():
        return (), (), ()
    one_in = max(rows // SAMPLED_ROWS, 1)
    held = pl.concat(_sample(store, bucket, before, one_in) for bucket in store.buckets)
    kind_of = _kinds(held, limits.rare_share * rows / one_in)
    numbers: list[Number] = []
    categories: list[Category] = []
    deadlines: list[Deadline] = []
    for name in _in_turn(kind_of, kind_of)[:LOOKED_AT]:
        told = held.lazy().select(text=text_of(name)).drop_nulls().group_by("text")
        texts = collect(told.agg(rows=pl.len()), CPU)
        if deadline := _deadline(name, texts, limits):
            deadlines.append(deadline)
        elif number := _number(name, texts):
            numbers += [] if _follows_time(number, held) else [number]
        elif category := _category(name, texts):
            categories.append(category)
    most = MOST_DEADLINES if limits.deadlines is None else None
    return (
        _most(numbers, limits.most_numbers, kind_of),
        _most(categories, limits.most_categories, kind_of),
        _most(deadlines, most, kind_of),
    )


def _kinds(held: pl.DataFrame, rare: float) -> dict[str, int]:
    """Of each property, the most frequent first, the kind of event that has it most often."""
    events = held["event"].value_counts().sort("count", "event", descending=[True, False])
    named = events["event"].head(KINDS).to_list()
    kinds = [*(pl.col("event") == name for name in named), ~pl.col("event").is_in(named)]
    counts: Counter[str] = Counter()
    most: dict[str, tuple[int, int]] = {}
    for kind, mine in enumerate(kinds):
        for name, count in names_in(held.lazy().filter(mine)).items():
            counts[name] += count
            most[name] = max(most.get(name, (0, 0)), (count, -kind))
    frequent = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: -most[name][1] for name in frequent if counts[name] > rare}


def _in_turn(names: Iterable[str], kind_of: Mapping[str, int]) -> list[str]:
    """The first of each kind, then the second of each, and so on."""
    seen: Counter[int] = Counter()
    place = {}
    for name in names:
        place[name] = seen[kind_of[name]]
        seen[kind_of[name]] += 1
    return sorted(place, key=lambda name: place[name])


def _most(found: list[T], most: int | None, kind_of: Mapping[str, int]) -> tuple[T, ...]:
    by_name = {one.name: one for one in found}
    kept = _in_turn(by_name, kind_of)[:most]
    return tuple(by_name[name] for name in sorted(kept))


def _sample(store: EventStore, bucket: int, before: Cutoff, one_in: int) -> pl.DataFrame:
    """Of some users, by their hash: it depends on neither buckets nor order."""
    known = store.scan(bucket).filter(known_before(before.at), pl.col("properties").is_not_null())
    some = known.filter(pl.col("user_id").hash(seed=0) % one_in == 0)
    return collect(some.select("ts", "event", "properties"), CPU)


def _deadline(name: str, texts: pl.DataFrame, limits: Features) -> Deadline | None:
    """None where it is not named so, or mostly no day."""
    asked = named_in_advance(name) if limits.deadlines is None else name in limits.deadlines
    if not asked:
        return None
    rows = pl.col("rows")
    read = {
        layout: rows.filter(read_day(pl.col("text"), layout).is_not_null()).sum()
        for layout in get_args(Layout)
    }
    counts = collect(texts.lazy().select(**read), CPU).row(0, named=True)
    best: Layout = max(get_args(Layout), key=lambda layout: counts[layout])
    return Deadline(name, best) if counts[best] > texts["rows"].sum() / 2 else None


def _number(name: str, texts: pl.DataFrame) -> Number | None:
    """None where it is no number, an id, or the same everywhere."""
    looks = {mark: _look(texts, mark) for mark in get_args(Mark)}
    decimal: Mark = "," if looks[","]["read"] > looks["."]["read"] else "."
    look, there = looks[decimal], int(texts["rows"].sum())
    if look["read"] < LEAST_SHARE * there or look["least"] == look["most"]:
        return None
    if look["whole"] == look["read"] and _names_an_id(name, len(texts)):
        return None
    if look["large"] > look["read"] / 2:
        return None
    return Number(name, decimal, *_bounds(look["low"], look["high"]))


def _names_an_id(name: str, different: int) -> bool:
    """Of whole numbers; where a file has no names, many different ones are ids."""
    if re.fullmatch(r"column_\d+", name):
        return different > FEW_KINDS
    return bool(IDS.intersection(words_of(name)[-1:]))


def _bounds(low: float, high: float) -> tuple[float, float]:
    """To two significant digits, outward: a few late events rarely change them."""
    if low == high:  # nearly all rows have the same: what is usual is not known
        return -LARGEST, LARGEST
    slack = SLACK * (high - low)
    return max(-_upward(slack - low), -LARGEST), min(_upward(high + slack), LARGEST)


def _upward(value: float) -> float:
    exact = Decimal(value)
    digit = Decimal(1).scaleb(exact.adjusted() - 1)
    return float(exact.quantize(digit, ROUND_CEILING))


def _follows_time(number: Number, held: pl.DataFrame) -> bool:
    """Whether it counts with the calendar (a week's number): it says when an event was."""
    value = number.read(text_of(number.name))
    told = held.lazy().select(value=value, at=pl.col("ts").cast(pl.Float64)).drop_nulls()
    found = collect(told.select(rows=pl.len(), alike=pl.corr("value", "at").abs()), CPU)
    rows, alike = found.row(0)
    return rows >= LEAST_ROWS and alike is not None and alike >= ALIKE


def _look(texts: pl.DataFrame, decimal: Mark) -> Mapping[str, float]:
    value, rows = pl.col("value"), pl.col("rows")
    whole, below = value == value.floor(), rows.cum_sum() / rows.sum()
    read = texts.lazy().select(rows, value=read_number(pl.col("text"), decimal))
    figures = (
        read.drop_nulls()
        .sort("value")
        .select(
            read=rows.sum(),
            whole=rows.filter(whole).sum(),
            large=rows.filter(whole & (value.abs() >= LARGE)).sum(),
            least=value.min(),
            most=value.max(),
            low=value.filter(below >= OUTSIDE).first(),
            high=value.filter(below >= 1 - OUTSIDE).first(),
        )
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
