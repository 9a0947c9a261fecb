"""Measures read off prefix sums: which columns of rows they are made of, and what they are.

The same measures at one cutoff as a plan: `features.aggregate`. The two must be equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.aggregate import Wanted
from features.measure import Measure, Stream, reference
from features.prefix import Ints, Lookup
from features.tally import Tally

NO_CODE = -1


class CodeLookup:
    """What a tally says at the pairs of a look-up: all codes are gathered at once."""

    def __init__(self, lookup: Lookup, found: Tally) -> None:
        self.lookup, self.tally = lookup, found
        self._counts: dict[int, NDArray[Any]] = {}

    def count(self, code: int, days: int | None) -> Ints:
        """Rows with a code in a window, or ever."""
        ever: Ints = self._before(0)[:, code + 1]
        return ever if days is None else ever - self._before(days)[:, code + 1]

    def last(self, code: int) -> NDArray[np.datetime64]:
        """The instant of the last row with a code; NaT where there is none."""
        place = self._last[:, code + 1]
        known = place >= 0
        return self.lookup.instants(place[known], known)

    def _before(self, days: int) -> NDArray[Any]:
        if days not in self._counts:
            self._counts[days] = self.lookup.at(self.tally.counts, days)
        return self._counts[days]

    @cached_property
    def _last(self) -> NDArray[Any]:
        return self.lookup.at(self.tally.last, 0)


def looked_up(
    lookup: Lookup,
    measures: Mapping[str, Measure],
    wanted: Wanted,
    columns: Mapping[str, Sequence[str]],
) -> dict[str, pl.Series]:
    """Every wanted measure of one stream, by the name its expressions use; `columns` as
    `columns_of` says for the stream."""
    found: dict[str, pl.Series] = {}
    for column, sharing in columns.items():
        asked = {name: wanted[name] for name in sharing if name in wanted}
        if asked:
            values = lookup.rows.values(column)
            for name, made in _of_column(lookup, measures, asked, values):
                for d, series in made.items():
                    key = reference(name, d)
                    found[key] = pl.Series(key, series, nan_to_null=True)
    return found


Made = Iterator[tuple[str, dict[int | None, NDArray[Any]]]]


def _of_column(
    lookup: Lookup, measures: Mapping[str, Measure], asked: Wanted, values: NDArray[Any]
) -> Made:
    """The measures that are made of one column."""
    coded = {name: code for name in asked if (code := measures[name].code) is not None}
    if coded:
        yield from _of_codes(lookup, measures, asked, coded, values)
        return
    summed = any(_is_sum(measures[name]) for name in asked)
    prefix = lookup.rows.prefix_sums(values) if summed else None
    for name, days in asked.items():
        yield name, _measured(lookup, measures[name], days, values, prefix)


def _of_codes(
    lookup: Lookup,
    measures: Mapping[str, Measure],
    asked: Wanted,
    coded: Mapping[str, int],
    values: NDArray[Any],
) -> Made:
    rows = lookup.rows
    latest = any(measures[name].how == "latest" for name in asked)
    most = max(coded.values())
    found = rows.tally(values, most, with_last=latest)
    codes = CodeLookup(lookup, found) if found else None
    for name, days in asked.items():
        if codes is None:
            marks = values == coded[name]
            yield name, _measured(lookup, measures[name], days, marks, rows.prefix_sums(marks))
        elif measures[name].how == "latest":
            yield name, {None: codes.last(coded[name])}
        else:
            yield name, {d: codes.count(coded[name], d) for d in days}


def columns_of(
    measures: Mapping[str, Measure], streams: Collection[Stream]
) -> dict[str, list[str]]:
    """The columns of some streams' rows, each named after the first measure that is made of it."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for name, measure in measures.items():
        if measure.stream in streams:
            coded = measure.code is not None
            value = str(measure.value) if coded else id(measure.value)
            found.setdefault((measure.stream, value, coded, _is_sum(measure)), []).append(name)
    return {names[0]: names for names in found.values()}


def _is_sum(measure: Measure) -> bool:
    """Whether it is read off the prefix sums of whole numbers."""
    return measure.how in ("sum", "linked", "latest", "first") and not measure.real


def _measured(
    lookup: Lookup,
    measure: Measure,
    days: Collection[int | None],
    values: NDArray[Any],
    prefix: Ints | None,
) -> dict[int | None, NDArray[Any]]:
    match measure.how:
        case "first":
            return {None: lookup.first()}
        case "last":
            return {None: lookup.last(values)}
        case "max":
            return {None: lookup.largest(values)}
        case "decay":
            return {None: lookup.decayed(values, measure.half_life_days)}
    if prefix is None:
        return dict(lookup.reals(lookup.rows.cells(values), list(days)))
    if measure.how == "latest":
        return {None: lookup.latest_of(values, prefix)}
    linked = measure.how == "linked"
    return {d: lookup.sums(d, prefix, linked=linked) for d in days}


def typed(measures: Mapping[str, Measure], wanted: Wanted) -> list[pl.Expr]:
    """Casts what `looked_up` found to what the plan has."""
    return [
        pl.col(reference(name, d)).dt.replace_time_zone("UTC")
        if measures[name].is_instant
        else pl.col(reference(name, d)).cast(pl.Float64 if measures[name].real else pl.Int64)
        for name, days in wanted.items()
        for d in days
    ]


def row_value(measure: Measure) -> pl.Expr:
    """A measure's column among its stream's rows, as `looked_up` wants it."""
    if measure.code is not None:
        return measure.value.fill_null(NO_CODE)
    if _is_sum(measure):
        return measure.value.fill_null(value=False)  # 0 of a number
    missing = np.nan if measure.how in ("last", "max") else 0.0
    return measure.value.cast(pl.Float64).fill_null(missing)
