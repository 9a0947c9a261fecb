"""Which periods after the anchor a column of a retention table covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl

from events.calendar import Period
from runtime.errors import UsageError

Mode = Literal["bracket", "nday", "rolling"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULT_PERIODS: dict[Period, int] = {"day": 30, "week": 12, "month": 12}
MOST_PERIODS = 3660


@dataclass(frozen=True)
class Cell:
    """Periods `start` to `end` after the anchor, both in it; rolling: `start` or later."""

    start: int
    end: int | None

    @property
    def name(self) -> str:
        if self.end is None:
            return f"{self.start}+"
        return str(self.start) if self.start == self.end else f"{self.start}-{self.end}"

    @property
    def decided_by(self) -> int:
        """The last period that must have ended before the cell's share says anything."""
        return self.start if self.end is None else self.end


def cells_of(
    mode: str, period: Period, periods: int | None, brackets: Sequence[tuple[int, int]] | None
) -> tuple[Cell, ...]:
    """The columns of a table, in order and without overlap. Raises UsageError.

    nday and rolling: periods 0 to `periods`. bracket: `brackets`, or 0, 1, 2-3, 4-7, 8-15 and
    so on up to `periods`.
    """
    if mode not in MODES:
        raise UsageError(f"mode '{mode}' is not known; choose one of {', '.join(MODES)}")
    last = DEFAULT_PERIODS[period] if periods is None else periods
    if not 0 <= last <= MOST_PERIODS:
        raise UsageError(f"periods {last} is out of range; choose 0 to {MOST_PERIODS}")
    if brackets is not None and mode != "bracket":
        raise UsageError(f"brackets go with mode 'bracket', not '{mode}'; leave them out")
    if mode == "nday":
        return tuple(Cell(n, n) for n in range(last + 1))
    if mode == "rolling":
        return tuple(Cell(n, None) for n in range(last + 1))
    return _checked(brackets) if brackets is not None else _doubling(last)


def _doubling(last: int) -> tuple[Cell, ...]:
    cells, start, width = [Cell(0, 0)], 1, 1
    while start <= last:
        cells.append(Cell(start, min(start + width - 1, last)))
        start, width = start + width, width * 2
    return tuple(cells)


def _checked(brackets: Sequence[tuple[int, int]]) -> tuple[Cell, ...]:
    previous = -1
    for start, end in brackets:
        if start <= previous or end < start or end > MOST_PERIODS:
            raise UsageError(
                f"bracket {start}-{end}: brackets must rise and not overlap; "
                "write them like 0-0, 1-7, 8-30"
            )
        previous = end
    if not brackets:
        raise UsageError("no bracket given; write them like 0-0, 1-7, 8-30")
    return tuple(Cell(start, end) for start, end in brackets)


def up_to_each_end(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Cells with the same ends that together cover every period from 0 on."""
    found, start = [], 0
    for cell in cells:
        assert cell.end is not None, "a rolling table has no ends"
        found.append(Cell(start, cell.end))
        start = cell.end + 1
    return tuple(found)


def cell_of(offset: pl.Expr, cells: tuple[Cell, ...]) -> pl.Expr:
    """The position of the cell that holds a period's offset, Int32; null outside all.

    Only for cells with an end; of a rolling table the offset itself is what is counted.
    """
    if all(cell.start == cell.end == place for place, cell in enumerate(cells)):
        return pl.when(offset < len(cells)).then(offset.cast(pl.Int32))
    place = pl.lit(None, pl.Int32)
    for number, cell in reversed(tuple(enumerate(cells))):
        inside = (offset >= cell.start) & (offset <= cell.end)
        place = pl.when(inside).then(pl.lit(number, pl.Int32)).otherwise(place)
    return place
