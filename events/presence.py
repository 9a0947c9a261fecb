"""Events that vanish or appear."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from events.daily import Grid
from events.findings import Finding

Flags = npt.NDArray[np.bool_]

LEAST_ACTIVE_DAYS = 8  # before an event has a habit that it can break
LEAST_SILENCE_DAYS = 7
TIMES_LONGEST_GAP = 3
LEAST_EXPECTED_ROWS = 10  # by chance none of 10 expected rows come once in 22,000 times


def comings_and_goings(grid: Grid) -> tuple[list[Finding], Flags]:
    """Events whose silence at the log's end or beginning is far longer than any within, and
    which cells of the grid lie in a lifetime: where an event that neither came nor went is
    expected. Shape of the flags: (days, events)."""
    alive = np.ones(grid.rows.shape, dtype=np.bool_)
    total = grid.total
    gone: dict[int, Finding] = {}
    come: dict[int, Finding] = {}
    for place in range(len(grid.events)):
        seen = np.flatnonzero(grid.rows[:, place])
        first, last = int(seen[0]), int(seen[-1])
        share = grid.rows[:, place].sum() / total[first : last + 1].sum()
        after, before = share * total[last + 1 :].sum(), share * total[:first].sum()
        if _breaks_habit(seen, len(total) - 1 - last, after):
            gone[place] = _finding(grid, place, "vanished", last, after)
            alive[last + 1 :, place] = False
        if _breaks_habit(seen, first, before):
            come[place] = _finding(grid, place, "appeared", first, before)
        alive[:first, place] = False
    return [*gone.values(), *come.values()], alive


def _breaks_habit(seen: npt.NDArray[np.intp], silence: int, expected: float) -> bool:
    if seen.size < LEAST_ACTIVE_DAYS or expected < LEAST_EXPECTED_ROWS:
        return False
    longest = int(np.diff(seen).max()) - 1
    return silence >= max(LEAST_SILENCE_DAYS, TIMES_LONGEST_GAP * (longest + 1))


def _finding(
    grid: Grid, place: int, kind: Literal["vanished", "appeared"], edge: int, expected: float
) -> Finding:
    name, vanished = grid.events[place], kind == "vanished"
    first, last = (edge + 1, len(grid.rows) - 1) if vanished else (0, edge - 1)
    when = "was last seen" if vanished else "was first seen"
    return Finding(
        severity="error" if vanished else "info",
        kind=kind,
        event=name,
        first_day=grid.day(first),
        last_day=grid.day(last),
        found=0,
        expected=round(float(expected), 1),
        message=f"'{name}' {when} on {grid.day(edge)}; at its usual share of the log "
        f"{expected:,.0f} rows {'since' if vanished else 'before'} were to be expected",
    )
