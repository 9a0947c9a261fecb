"""Shares of rows that leave their level: amounts and properties that stop coming, types that
change, rows that repeat, rows that are late.

Each day is compared with the days before it that were not off, so a share that changes for good
is one finding from that day on; after four weeks the new level is the usual one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from events.findings import Finding, Severity, called, day_or_days
from events.grid import Cell, Counts, Grid
from runtime.settings_quality import Kind

DAYS_BEFORE = 28
LEAST_DAYS = 7
LEAST_ROWS = 20  # a day
SCALES = 5.0
MOSTLY = 0.5


@dataclass(frozen=True)
class Shift:
    """Days `start` to before `end` with the share `found` where `usual` was usual; `lasting`:
    still so when the log ends."""

    start: int
    end: int
    found: float
    usual: float
    lasting: bool


def shifts(part: Counts, whole: Counts, rise: float, *, down: bool) -> list[Shift]:
    """Where part / whole leaves the median of the last 28 days that it had not left, by more
    than `rise` and 5 deviations; `down`: falls count too. Both of shape (days,).

    The deviation is the binomial's, or 1.48 times the median distance of those days from their
    median if that is larger: days differ by more than chance. Days of fewer than 20 rows are
    not looked at.
    """
    if not 0 < part.sum() < whole.sum():  # never, or always
        return []
    usual: deque[float] = deque(maxlen=DAYS_BEFORE)
    off: list[int] = []
    found: list[Shift] = []
    days = [int(day) for day in np.flatnonzero(whole >= LEAST_ROWS)]
    share = {day: float(part[day] / whole[day]) for day in days}
    for day in days:
        if len(usual) < LEAST_DAYS or not _left(
            share[day], int(whole[day]), usual, rise, down=down
        ):
            found += _closed(off, part, whole, usual)
            off = []
            usual.append(share[day])
            continue
        off.append(day)
        if day - off[0] >= DAYS_BEFORE:
            found += _closed(off, part, whole, usual)
            usual = deque((share[each] for each in off), maxlen=DAYS_BEFORE)
            off = []
    return _lasting([*found, *_closed(off, part, whole, usual)], days, share, rise)


def _left(share: float, rows: int, before: deque[float], rise: float, *, down: bool) -> bool:
    if len(before) < LEAST_DAYS:
        return False
    usual = float(np.median(before))
    spread = 1.4826 * float(np.median(np.abs(np.array(before) - usual)))
    safe = min(max(usual, 1 / rows), 1 - 1 / rows)
    scale = max(float(np.sqrt(safe * (1 - safe) / rows)), spread)
    away = share - usual if not down else abs(share - usual)
    return away > max(rise, SCALES * scale)


def _closed(off: list[int], part: Counts, whole: Counts, usual: deque[float]) -> list[Shift]:
    if not off:
        return []
    share = float(part[off].sum() / whole[off].sum())
    return [Shift(off[0], off[-1] + 1, share, float(np.median(usual)), lasting=False)]


def _lasting(
    found: list[Shift], days: list[int], share: dict[int, float], rise: float
) -> list[Shift]:
    """A shift whose level the share has kept, and never left again, reaches to the log's end."""
    if not found:
        return found
    last = found[-1]
    rest = [share[day] for day in days if day >= last.start]
    kept = abs(float(np.median(rest[-LEAST_DAYS:])) - last.found) < rise / 2
    if last.end <= days[-1] and (last.end - last.start < DAYS_BEFORE or not kept):
        return found
    return [*found[:-1], replace(last, end=days[-1] + 1, lasting=True)]


Words = Callable[[Shift, str, str], str]


@dataclass(frozen=True)
class Watched:
    """One share of one cell: the places of the cells it is of, the measures it is part and
    whole of, and how it is told."""

    kind: Kind
    severity: Severity
    cell: Cell
    members: list[int]
    part: Counts
    whole: Counts
    rise: float
    down: bool
    words: Words
    property: str | None = None

    def findings(self, grid: Grid) -> list[Finding]:
        found = shifts(self.part, self.whole, self.rise, down=self.down)
        return [self._finding(grid, shift) for shift in found]

    def _finding(self, grid: Grid, shift: Shift) -> Finding:
        first, last = grid.day(shift.start), grid.day(shift.end - 1)
        when = f"since {first}" if shift.lasting and first != last else day_or_days(first, last)
        begun = self.kind == "property" and shift.found > shift.usual  # more is known: no harm
        return Finding(
            severity="info" if begun else self.severity,
            kind=self.kind,
            event=self.cell[0],
            channel=self.cell[1],
            property=self.property,
            first_day=first,
            last_day=last,
            found=round(shift.found, 4),
            expected=round(shift.usual, 4),
            message=self.words(shift, called(*self.cell), when),
        )
