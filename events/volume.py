"""Days with far more or fewer rows than usual: of the log, a channel, an event, or one cell.

What befalls most of a group is told of the group, and of its cells no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from events.baseline import WEEKS, Deviations, Rule, Signs, common_factor, deviations
from events.findings import Finding, called, day_or_days
from events.grid import Cell, Counts, Flags, Grid
from events.medians import Floats
from runtime.counted import counted
from runtime.settings_quality import Kind

LARGE = 10.0  # expected rows a day: a cell that would show it if it went
TELLING = 30.0  # one whose share of a day is not all chance


def volume_findings(grid: Grid, alive: Flags, rule: Rule) -> list[Finding]:
    """Runs of days that deviate. `alive`: shape (days, cells), where a cell is expected."""
    if not grid.rows.size:
        return []
    plain = deviations(grid.rows, alive, rule, grid.calendar)
    common = common_factor(grid.rows, plain.expected, TELLING)
    own = deviations(grid.rows, alive, rule, grid.calendar, common)
    told: Signs = np.zeros(own.sign.shape, dtype=np.int8)
    findings = []
    for group in _groups(grid):
        found, sign = _of_group(grid, alive, rule, common, own, group)
        already = (told[:, group.members] == sign.reshape(-1, 1)).any(axis=1)
        sign = np.where(already, 0, sign).astype(np.int8)
        findings += runs(grid, group.cell, group.rows, found.expected[:, 0], sign)
        hides = np.where(told[:, group.members] == 0, sign.reshape(-1, 1), told[:, group.members])
        told[:, group.members] = hides
    left: Signs = np.where(own.sign == told, 0, own.sign)
    for place, cell in enumerate(grid.cells):
        findings += runs(grid, cell, grid.rows[:, place], own.expected[:, place], left[:, place])
    return findings


@dataclass(frozen=True)
class _Group:
    """`rows`, shape (days,), of all `members` (places of cells); `units`: what they fall into."""

    cell: Cell
    members: list[int]
    rows: Counts
    units: list[list[int]]


def _groups(grid: Grid) -> Iterator[_Group]:
    """The log, its channels and its events, where they are of more than one cell."""
    everything = list(range(len(grid.cells)))
    _, channels = grid.summed_by(1)
    if len(everything) > 1:
        units = channels if len(channels) > 1 else [[place] for place in everything]
        yield _Group((None, None), everything, grid.total, units)
    for axis in (1, 0):
        for cell, members in zip(*grid.summed_by(axis), strict=True):
            if 1 < len(members) < len(everything):
                rows = grid.rows[:, members].sum(axis=1)
                yield _Group(cell, members, rows, [[place] for place in members])


def _of_group(
    grid: Grid, alive: Flags, rule: Rule, common: Floats, own: Deviations, group: _Group
) -> tuple[Deviations, Signs]:
    """How the group deviates, and by day its sign where that is no single unit's doing: most of
    the units that are large enough to show it are off likewise, or none is though none is new
    or gone. The log deviates by itself, the others beyond what is common."""
    log = group.cell == (None, None)
    lives: Flags = alive[:, group.members].max(axis=1, keepdims=True)
    found = deviations(group.rows[:, None], lives, rule, grid.calendar, None if log else common)
    if log:
        rows = np.stack([grid.rows[:, unit].sum(axis=1) for unit in group.units], axis=1)
        there = np.stack([alive[:, unit].any(axis=1) for unit in group.units], axis=1)
        units = deviations(rows, there, rule, grid.calendar)
    else:
        places = [unit[0] for unit in group.units]
        units = Deviations(own.expected[:, places], own.sign[:, places])
    sign = found.sign[:, 0]
    same = ((units.sign == sign[:, None]) & (sign[:, None] != 0)).sum(axis=1)
    large = (units.expected >= LARGE).sum(axis=1)
    none = (same == 0) & _settled(alive[:, group.members])
    return found, np.where(none | (2 * same > large), sign, 0).astype(np.int8)


def _settled(alive: Flags) -> Flags:
    """Whether no cell has come or gone in the weeks around each day, shape (days,)."""
    missing = np.zeros(len(alive) + 1, dtype=np.int64)
    missing[1:] = np.cumsum((~alive).any(axis=1))
    day = np.arange(len(alive))
    low, high = np.maximum(day - 7 * WEEKS, 0), np.minimum(day + 7 * WEEKS + 1, len(alive))
    settled: Flags = missing[high] == missing[low]
    return settled


def runs(grid: Grid, cell: Cell, rows: Counts, expected: Floats, sign: Signs) -> list[Finding]:
    findings = []
    for start, end in stretches(sign):
        found, usual = int(rows[start:end].sum()), float(np.nansum(expected[start:end]))
        findings.append(_finding(grid, cell, (start, end), found, usual))
    return findings


def stretches(sign: Signs) -> list[tuple[int, int]]:
    """Consecutive days of one sign, as half-open ranges."""
    edges = [0, *(np.flatnonzero(np.diff(sign)) + 1).tolist(), len(sign)]
    return [(a, b) for a, b in pairwise(edges) if a < b and sign[a]]


def _finding(grid: Grid, cell: Cell, span: tuple[int, int], found: int, usual: float) -> Finding:
    kind: Kind = "spike" if found > usual else "drop" if found else "missing"
    first, last = grid.day(span[0]), grid.day(span[1] - 1)
    return Finding(
        severity="error" if kind == "missing" else "warning",
        kind=kind,
        event=cell[0],
        channel=cell[1],
        first_day=first,
        last_day=last,
        found=found,
        expected=round(usual, 1),
        message=f"{called(*cell)} has {counted(found, 'rows')} {day_or_days(first, last)}; "
        f"about {usual:,.0f} were to be expected",
    )
