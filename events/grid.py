"""The counts of the tracking laid out: days by cells, a cell being an event of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from events.calendar import first_day
from events.daily import CELL, HOUR

Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
MOST_CELLS = 500  # judged one by one: the most frequent
Cell = tuple[str | None, str | None]  # event, channel; None: all of them


@dataclass(frozen=True)
class Days:
    """Consecutive calendar days. `first`: the number of the first; `holiday`: shape (days,)."""

    first: int
    holiday: Flags

    @cached_property
    def dates(self) -> npt.NDArray[np.datetime64]:
        return np.datetime64(self.first, "D") + np.arange(len(self.holiday))


@dataclass(frozen=True)
class Grid:
    """Counts by calendar day and cell, shape (days, cells); silent days are zero rows.
    `rows` leaves out those that repeat another one. `total` counts all such rows of a day, those
    beyond MOST_CELLS too; `holiday`: shape (days,)."""

    first: int  # the number of the first day
    cells: tuple[Cell, ...]
    measures: dict[str, Counts]
    total: Counts
    holiday: Flags

    @cached_property
    def rows(self) -> Counts:
        return self.measures["rows"] - self.measures["repeats"]

    @property
    def days(self) -> int:
        return len(self.total)

    @property
    def calendar(self) -> Days:
        return Days(self.first, self.holiday)

    def day(self, place: int) -> date:
        return first_day(self.first + place, "day")

    def summed_by(self, axis: int) -> tuple[tuple[Cell, ...], list[list[int]]]:
        """The groups of cells by event (0) or channel (1), and the places of their cells."""
        places: dict[str | None, list[int]] = {}
        for place, cell in enumerate(self.cells):
            places.setdefault(cell[axis], []).append(place)
        groups = tuple((name, None) if axis == 0 else (None, name) for name in places)
        return groups, list(places.values())


def grid_of(counts: pl.DataFrame, days: tuple[int, int], holidays: Sequence[date]) -> Grid:
    """`counts`: of `events.daily`; those from the first day of `days` to before the last."""
    cells = counts.filter(pl.col("part") == CELL)
    whole = cells.filter(pl.col("number").is_between(*days, closed="left"))
    most = whole.group_by("event", "channel").agg(pl.col("rows").sum())
    most = most.sort("rows", "event", "channel", descending=[True, False, False]).head(MOST_CELLS)
    places = most.select("event", "channel").sort("event", "channel").with_row_index("place")
    kept = whole.join(places, on=["event", "channel"], nulls_equal=True)
    at = (kept["number"].to_numpy() - days[0], kept["place"].to_numpy())
    names = [n for n in counts.columns if n not in ("part", "number", "event", "channel", "hour")]
    measures = {}
    for name in names:
        measures[name] = np.zeros((days[1] - days[0], places.height), dtype=np.int64)
        measures[name][at] = kept[name].to_numpy()
    total = np.zeros(days[1] - days[0], dtype=np.int64)
    once = (whole["rows"] - whole["repeats"]).to_numpy()
    np.add.at(total, whole["number"].to_numpy() - days[0], once)
    numbers = {(day - date(1970, 1, 1)).days - days[0] for day in holidays}
    holiday = np.array([place in numbers for place in range(len(total))], dtype=np.bool_)
    found = tuple(places.select("event", "channel").iter_rows())
    return Grid(days[0], found, measures, total, holiday)


def hours_of(counts: pl.DataFrame, grid: Grid) -> dict[str | None, Counts]:
    """Visits begun, by channel, shape (days, 24)."""
    hours = counts.filter(pl.col("part") == HOUR)
    inside = hours.filter(
        pl.col("number").is_between(grid.first, grid.first + grid.days, closed="left")
    )
    found = {}
    for (channel,), rows in inside.group_by(["channel"], maintain_order=True):
        table = np.zeros((grid.days, 24), dtype=np.int64)
        table[rows["number"].to_numpy() - grid.first, rows["hour"].to_numpy()] = rows["rows"]
        found[None if channel is None else str(channel)] = table
    return found
