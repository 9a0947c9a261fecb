"""Measures at many cutoffs at once, on the CPU: prefix sums and one search per boundary.

A bucket's rows lie by user and time. Between two neighbouring boundaries (a cutoff, or a cutoff
less a window) nothing that a measure needs changes, so every measure is summed once along the
rows, and what lies in `[t - w, t)` is the difference of two of its prefix sums: a further cutoff
costs a look-up a user, not a pass over the rows. Sums of reals are added up from boundary to
boundary instead, so that nothing is lost to cancellation and a user's figures do not depend on
who shares the bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.measure import DAY_US
from features.tally import Tally, tally
from features.time import Cutoff

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ERA = 500  # half-lives: two to their number is far from what a float can hold
FEW = 16  # so many comparisons of all rows take less time than a search for each
NOT_A_TIME = np.iinfo(np.int64).min  # what numpy takes for no instant


def microseconds(instant: datetime) -> int:
    return int(pl.Series([instant], dtype=pl.Datetime("us", "UTC")).cast(pl.Int64)[0])


class Boundaries:
    """The cutoffs, and the instants so many days before each (after it, where negative)."""

    def __init__(self, cutoffs: Sequence[Cutoff], days: Iterable[int]) -> None:
        self.cutoffs = np.array([microseconds(c.at) for c in cutoffs], dtype=np.int64)
        away = np.array([0, *days], dtype=np.int64) * DAY_US
        self.instants: Ints = np.unique(self.cutoffs[:, None] - away)

    def place(self, days: int) -> Ints:
        """Of each cutoff: the place of `t - days` among the boundaries."""
        return np.searchsorted(self.instants, self.cutoffs - days * DAY_US)

    def before(self, ts: Ints) -> NDArray[np.int32]:
        """Of each instant: how many boundaries lie at or before it."""
        if len(self.instants) > FEW:
            return np.searchsorted(self.instants, ts, side="right").astype(np.int32)
        found = np.zeros(len(ts), dtype=np.int32)
        for instant in self.instants:
            found += ts >= instant
        return found


class StreamRows:
    """One stream's rows of a bucket, cut into cells: a user between two boundaries."""

    def __init__(self, frame: pl.DataFrame, users: int, boundaries: Boundaries) -> None:
        self.frame, self.users, self.boundaries = frame, users, boundaries
        self.ts: Ints = frame["ts"].cast(pl.Int64).to_numpy()
        self.width = len(boundaries.instants) + 1
        self.number: Ints = frame["number"].to_numpy()
        self.passed = boundaries.before(self.ts)
        self.cell: Ints = self.number * self.width
        self.cell += self.passed
        counts = np.bincount(self.cell, minlength=users * self.width)
        ends = np.cumsum(counts).reshape(users, self.width)
        self.before = ends[:, :-1]  # rows of all users up to this one's boundary
        self.start: Ints = np.concatenate([[0], ends[:-1, -1]])
        self.end: Ints = ends[:, -1]
        self._sums: Ints = np.zeros(len(self.ts) + 1, dtype=np.int64)

    def with_columns_of(self, frame: pl.DataFrame) -> StreamRows:
        """The same rows, in the same cells, with other columns."""
        other = copy(self)
        other.frame = frame
        return other

    def tally(self, codes: NDArray[Any], most: int, *, with_last: bool) -> Tally | None:
        scratch, shape = self._sums[1:], (self.users, self.width)
        return tally(self.number, self.passed, codes, *shape, most, scratch, with_last=with_last)

    @cached_property
    def begins(self) -> Ints:
        """The first row of each cell that has some."""
        return np.flatnonzero(np.diff(self.cell, prepend=-1))

    def at(self, who: Ints, cut: Ints) -> Lookup:
        return Lookup(self, who, cut)

    def values(self, name: str) -> NDArray[Any]:
        return self.frame[name].to_numpy()

    def prefix_sums(self, values: NDArray[Any]) -> Ints:
        """Of whole numbers or marks: the sum of all values before each row, and of all.

        The array is used again by the next call: fresh memory costs more than the sums.
        """
        np.cumsum(values, out=self._sums[1:])
        return self._sums

    def cells(self, values: Floats) -> Floats:
        """Sums by cell and user, shape (width, users)."""
        sums = np.bincount(self.cell, weights=values, minlength=self.users * self.width)
        return np.ascontiguousarray(sums.reshape(self.users, self.width).T)


class Lookup:
    """What a stream's measures are at pairs of a user and a cutoff, shape (pairs,)."""

    def __init__(self, rows: StreamRows, who: Ints, cut: Ints) -> None:
        self.rows, self.who, self.cut = rows, who, cut
        self.start = rows.start[who]
        self.upper = self.position(0)
        self.lower: dict[int, Ints] = {}

    def position(self, days: int) -> Ints:
        """How many rows of all users up to this one's lie before `t - days`."""
        return self.rows.before[self.who, self.rows.boundaries.place(days)[self.cut]]

    def _lower(self, days: int | None) -> Ints:
        if days is None:
            return self.start
        if days not in self.lower:
            self.lower[days] = self.position(days)
        return self.lower[days]

    def sums(self, days: int | None, prefix: Ints, *, linked: bool) -> Ints:
        lower = self._lower(days)
        if linked and days is not None:
            lower = np.minimum(lower + 1, self.upper)
        return prefix[self.upper] - prefix[lower]

    def at(self, grid: NDArray[Any], days: int) -> NDArray[Any]:
        """What a tally says at `t - days`, a row a pair."""
        place = self.rows.boundaries.place(days) * self.rows.users
        return np.take(grid, place[self.cut] + self.who, axis=0)

    def between(self, name: str, earlier: int, later: int) -> Ints:
        """Sum of a column of marks over `[t - earlier, t - later)`, in days."""
        prefix = self.rows.prefix_sums(self.rows.values(name))
        return prefix[self.position(later)] - prefix[self.position(earlier)]

    def sum_between(self, name: str, earlier: int, later: int) -> Floats:
        """The same of a column of reals."""
        cells, place = self.rows.cells(self.rows.values(name)), self.rows.boundaries.place
        spans = zip(place(earlier), place(later), strict=True)
        sums = np.stack([cells[low + 1 : high + 1].sum(axis=0) for low, high in spans])
        found: Floats = sums[self.cut, self.who]
        return found

    def next(self) -> NDArray[np.datetime64]:
        """The instant of the first row at or after the cutoff; NaT where there is none."""
        known = self.upper < self.rows.end[self.who]
        return self.instants(self.upper[known], known)

    def reals(self, cells: Floats, days: Sequence[int | None]) -> dict[int | None, Floats]:
        """Sums from boundary to boundary, the shortest window first."""
        place, found = self.rows.boundaries.place, {}
        running = np.zeros((len(self.rows.boundaries.cutoffs), self.rows.users))
        upper = place(0)
        for d in sorted(days, key=lambda d: np.inf if d is None else d):
            lower = np.full_like(upper, -1) if d is None else place(d)
            for c, (low, high) in enumerate(zip(lower, upper, strict=True)):
                running[c] += cells[low + 1 : high + 1].sum(axis=0)
            found[d] = running[self.cut, self.who]
            upper = lower
        return found

    def latest(self, holds: NDArray[np.bool_]) -> NDArray[np.datetime64]:
        """The instant of the last row that holds; NaT where there is none."""
        return self.latest_of(holds, self.rows.prefix_sums(holds))

    def latest_of(self, holds: NDArray[np.bool_], prefix: Ints) -> NDArray[np.datetime64]:
        """The same where the prefix sums of `holds` are known."""
        places = np.flatnonzero(holds)
        known = prefix[self.upper] > prefix[self.start]
        return self.instants(places[prefix[self.upper[known]] - 1], known)

    def first(self) -> NDArray[np.datetime64]:
        known = self.upper > self.start
        return self.instants(self.start[known], known)

    def instants(self, places: Ints, known: NDArray[np.bool_]) -> NDArray[np.datetime64]:
        found = np.full(len(known), NOT_A_TIME)
        found[known] = self.rows.ts[places]
        return found.view("datetime64[us]")

    def last(self, values: Floats) -> Floats:
        """The value of the last row, NaN where there is none."""
        found = np.full(len(self.upper), np.nan)
        known = self.upper > self.start
        found[known] = values[self.upper[known] - 1]
        return found

    def largest(self, values: Floats) -> Floats:
        """`values`: NaN counts for nothing; NaN where there is none."""
        known = np.where(np.isnan(values), -np.inf, values)
        cells = np.full(self.rows.users * self.rows.width, -np.inf)
        begins = self.rows.begins
        if len(begins):
            cells[self.rows.cell[begins]] = np.maximum.reduceat(known, begins)
        running = np.maximum.accumulate(cells.reshape(self.rows.users, self.rows.width), axis=1)
        found = running[self.who, self.rows.boundaries.place(0)[self.cut]]
        return np.where(np.isneginf(found), np.nan, found)

    def decayed(self, values: Floats, half_life_days: float) -> Floats:
        """Weights are relative to the latest cutoff of an era, so that none overflows."""
        cutoffs, per_us = self.rows.boundaries.cutoffs, 1 / (half_life_days * DAY_US)
        found = np.zeros(len(self.cut))
        eras = ((cutoffs.max() - cutoffs) * per_us // ERA).astype(np.int64)
        for era in np.unique(eras):
            newest = cutoffs[eras == era].max()
            weights = np.exp2(np.minimum((self.rows.ts - newest) * per_us, 0.0))
            sums = self.reals(self.rows.cells(values * weights), [None])[None]
            mine = eras[self.cut] == era
            found[mine] = (sums * np.exp2((newest - cutoffs) * per_us)[self.cut])[mine]
        return found
