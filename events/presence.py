"""Events that vanish or appear, of the whole log or of a channel."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from events.findings import Finding, called
from events.grid import Cell, Counts, Flags, Grid

LEAST_ACTIVE_DAYS = 8  # before an event has a habit that it can break
LEAST_SILENCE_DAYS = 7
LEAST_HISTORY_DAYS = 56  # in which a log that begins comes to have all of its events
TIMES_LONGEST_GAP = 3
MOST = 0.9  # of a group's rows: what befalls them befalls the group
DAYS_NEAR = 28
LEAST_EXPECTED_ROWS = 10  # by chance none of 10 expected rows come once in 22,000 times
Side = Literal["vanished", "appeared"]


def comings_and_goings(grid: Grid) -> tuple[list[Finding], Flags]:
    """Cells whose silence at the log's end or beginning is far longer than any within, and
    which places of the grid lie in a lifetime: where a cell that neither came nor went is
    expected. Shape of the flags: (days, cells). What befalls all cells of a channel, or of an
    event, on one day is one finding."""
    alive = np.ones(grid.rows.shape, dtype=np.bool_)
    found: dict[tuple[Side, int, int], float] = {}  # side, edge, cell: rows expected
    for place in range(len(grid.cells)):
        seen = np.flatnonzero(grid.rows[:, place])
        first, last = int(seen[0]), int(seen[-1])
        life = grid.rows[first : last + 1, place], grid.total[first : last + 1]
        after = _share(*life, from_end=True) * grid.total[last + 1 :].sum()
        before = _share(*life, from_end=False) * grid.total[:first].sum()
        if _breaks_habit(seen, grid.days - 1 - last, after):
            found["vanished", last, place] = float(after)
            alive[last + 1 :, place] = False
        if first >= LEAST_HISTORY_DAYS and _breaks_habit(seen, first, before):
            found["appeared", first, place] = float(before)
        alive[:first, place] = False
    return _together(grid, found), alive


def _share(rows: Counts, total: Counts, *, from_end: bool) -> float:
    """The cell's share of the log in its life, or in the part of it that the silence follows or
    precedes, whichever is less: an event may have been becoming rare."""
    near = slice(-DAYS_NEAR, None) if from_end else slice(None, DAYS_NEAR)
    return min(float(rows[part].sum() / total[part].sum()) for part in (slice(None), near))


def _breaks_habit(seen: npt.NDArray[np.intp], silence: int, expected: float) -> bool:
    if seen.size < LEAST_ACTIVE_DAYS or expected < LEAST_EXPECTED_ROWS:
        return False
    longest = int(np.diff(seen).max()) - 1
    return silence >= max(LEAST_SILENCE_DAYS, TIMES_LONGEST_GAP * (longest + 1))


def _together(grid: Grid, found: dict[tuple[Side, int, int], float]) -> list[Finding]:
    """One finding for all cells of an event, or of a channel, that come or go within a week."""
    left = dict(found)
    findings = []
    for axis in (1, 0):
        for cell, members in zip(*grid.summed_by(axis), strict=True):
            for side in ("vanished", "appeared"):
                mine = [key for key in left if key[0] == side and key[2] in members]
                if len(mine) < 2 or not _near(mine) or not _most(grid, mine, members):  # noqa: PLR2004
                    continue
                rows = grid.rows[:, [place for _, _, place in mine]].sum(axis=1)
                findings.append(_finding(grid, cell, side, rows, sum(map(left.pop, mine))))
    for (side, _, place), expected in left.items():
        rows = grid.rows[:, place]
        findings.append(_finding(grid, grid.cells[place], side, rows, expected))
    return findings


def _most(grid: Grid, keys: list[tuple[Side, int, int]], members: list[int]) -> bool:
    mine = grid.rows[:, [place for _, _, place in keys]].sum()
    return bool(mine >= MOST * grid.rows[:, members].sum())


def _near(keys: list[tuple[Side, int, int]]) -> bool:
    edges = [edge for _, edge, _ in keys]
    return max(edges) - min(edges) <= LEAST_SILENCE_DAYS


def _finding(grid: Grid, cell: Cell, kind: Side, rows: Counts, expected: float) -> Finding:
    """An event that came and went again was an episode: no habit of the log is broken."""
    seen = np.flatnonzero(rows)
    edge = int(seen[-1] if kind == "vanished" else seen[0])
    episode = seen[0] >= LEAST_HISTORY_DAYS and seen[-1] - seen[0] < LEAST_HISTORY_DAYS
    vanished = kind == "vanished"
    first, last = (edge + 1, grid.days - 1) if vanished else (0, edge - 1)
    when = "was last seen" if vanished else "was first seen"
    return Finding(
        severity="error" if vanished and not episode else "info",
        kind=kind,
        event=cell[0],
        channel=cell[1],
        first_day=grid.day(first),
        last_day=grid.day(last),
        found=0,
        expected=round(float(expected), 1),
        message=f"{called(*cell)} {when} on {grid.day(edge)}; at its usual share of the log "
        f"{expected:,.0f} rows {'since' if vanished else 'before'} were to be expected",
    )
