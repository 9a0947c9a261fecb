"""Measures at one cutoff as a Polars plan: the definition, and what runs on cuDF.

`features.prefix` computes the same for many cutoffs at once and must equal it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import polars as pl

from features.measure import DAY_US, Measure, Stream, reference
from features.spec import FeatureSpec
from features.streams import known_at, stream
from features.time import Cutoff, Window

Wanted = Mapping[str, Collection[int | None]]
VALUE = "value: "  # no column of rows is called so


def aggregated(
    rows: pl.LazyFrame,
    cutoff: Cutoff,
    spec: FeatureSpec,
    measures: Mapping[str, Measure],
    wanted: Wanted,
) -> pl.LazyFrame:
    """From prepared rows: `number`, `user_id` and each wanted measure, a row a user with an
    event before the cutoff."""
    known = known_at(rows, cutoff, spec)
    people = known.group_by("number").agg(pl.col("user_id").first())
    for name in dict.fromkeys(measure.stream for measure in measures.values()):
        sums = {
            column: expression
            for key, days in wanted.items()
            if measures[key].stream == name
            for column, expression in _expressions(key, measures[key], days, cutoff).items()
        }
        if sums:
            rows = stream(known, name, spec).with_columns(_values(measures, wanted, name))
            found = rows.group_by("number").agg(**sums)
            people = people.join(found, on="number", how="left")
    return people.with_columns(_filled(measures, wanted))


def _values(measures: Mapping[str, Measure], wanted: Wanted, name: Stream) -> list[pl.Expr]:
    """Columns of the values that a group's last one is taken of: cuDF takes it of no expression."""
    last = (key for key in wanted if measures[key].stream == name and measures[key].how == "last")
    return [measures[key].of_row.alias(VALUE + key) for key in last]


def _expressions(
    name: str, measure: Measure, days: Collection[int | None], cutoff: Cutoff
) -> dict[str, pl.Expr]:
    return {
        reference(name, d): _one(name, measure, None if d is None else Window(d), cutoff)
        for d in days
    }


def _one(name: str, measure: Measure, window: Window | None, cutoff: Cutoff) -> pl.Expr:
    value = measure.of_row
    match measure.how:
        case "first":
            return pl.col("ts").min()
        case "latest":
            return pl.when(value).then(pl.col("ts")).max()
        case "last":
            return pl.col(VALUE + name).last()
        case "max":
            return value.max()
        case "decay":
            age = (cutoff.at - pl.col("ts")).dt.total_microseconds() / DAY_US
            return (value * (age * (-math.log(2) / measure.half_life_days)).exp()).sum()
    if window is not None:
        instant = "before" if measure.how == "linked" else "ts"
        value = pl.when(pl.col(instant) >= cutoff.at - window.length).then(value)
    return value.sum()


def _filled(measures: Mapping[str, Measure], wanted: Wanted) -> list[pl.Expr]:
    filled = []
    for name, days in wanted.items():
        measure = measures[name]
        dtype = pl.Float64 if measure.real else pl.Int64
        for d in days:
            column = pl.col(reference(name, d))
            if measure.how in ("sum", "linked", "decay"):
                filled.append(column.cast(dtype).fill_null(0))
            elif not measure.is_instant:
                filled.append(column.cast(dtype))
    return filled
