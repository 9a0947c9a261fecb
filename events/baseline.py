"""Days with far more or fewer rows than the same weekday has in the weeks around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from events.daily import Counts, Grid
from events.findings import Finding, day_or_days

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WEEKS = 4  # on each side
LEAST_BEFORE = 2  # a log that begins ramps up: nothing is said of its first two weeks
LEAST_WEEKS = 4
MOST_SCALES = 5.0
LEAST_RATIO = 2.0
_NORMAL = 1.4826  # makes a median absolute deviation a standard deviation
_ANSCOMBE = 3 / 8


@dataclass(frozen=True)
class Deviations:
    """Shapes (days, series): `expected` rows, and `sign`: 1 too many, -1 too few, 0 neither."""

    expected: Floats
    sign: npt.NDArray[np.int8]


def deviations(rows: Counts, alive: Flags) -> Deviations:
    """Each day against the median of its weekday in the four weeks before and after.

    On the scale 2 sqrt(rows + 3/8), where a Poisson count has deviation 1 (Anscombe 1948). A
    day deviates where it is 5 scales off and by a factor of 2; the scale is the largest of the
    weekday's MAD, the MAD of all the series' days from their own medians, and 1.
    """
    level = np.where(alive, 2 * np.sqrt(rows + _ANSCOMBE), np.nan)
    around, before = _same_weekdays(level)
    enough = (np.isfinite(around).sum(axis=0) >= LEAST_WEEKS) & (before >= LEAST_BEFORE) & alive
    middle = _median(around, axis=0)
    spread = _NORMAL * _median(np.abs(around - middle), axis=0)
    pooled = _NORMAL * _median(np.where(enough, np.abs(level - middle), np.nan), axis=0)
    scale = np.fmax(np.fmax(spread, pooled[None, :]), 1.0)
    expected = np.fmax((middle / 2) ** 2 - _ANSCOMBE, 0)
    far = enough & (np.abs(level - middle) > MOST_SCALES * scale)
    many = far & (rows > LEAST_RATIO * expected)
    few = far & (rows * LEAST_RATIO < expected)
    return Deviations(expected, many.astype(np.int8) - few.astype(np.int8))


def _same_weekdays(level: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The level 1 to 4 weeks before and after, shape (8, days, series), NaN outside; and how
    many of those before are known."""
    days = len(level)
    around = np.full((2 * WEEKS, *level.shape), np.nan)
    for week in range(1, WEEKS + 1):
        shift = 7 * week
        if shift < days:
            around[week - 1, shift:] = level[:-shift]
            around[WEEKS + week - 1, :-shift] = level[shift:]
    return around, np.isfinite(around[:WEEKS]).sum(axis=0)


def _median(values: Floats, axis: int) -> Floats:
    """NaN-ignoring, without the warning for what is all NaN."""
    ordered = np.sort(values, axis=axis)  # NaN last
    known = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((known - 1) // 2, 0), axis=axis)
    high = np.take_along_axis(ordered, np.minimum(known // 2, values.shape[axis] - 1), axis=axis)
    middle = np.where(known % 2 == 1, low, (low + high) / 2)
    return np.squeeze(np.where(known > 0, middle, np.nan), axis=axis)


def volume_findings(grid: Grid, alive: Flags) -> list[Finding]:
    """Runs of days that deviate, by event; by the whole log where most of its events do."""
    if not grid.rows.size:
        return []
    total = grid.total[:, None]
    own = deviations(grid.rows, alive)
    whole = deviations(total, np.ones_like(total, dtype=np.bool_))
    sign = own.sign.copy()
    together = _together(own, whole) if len(grid.events) > 1 else np.zeros(len(total), np.int8)
    sign[(sign == together[:, None]) & (together[:, None] != 0)] = 0
    findings = _runs(grid, None, total[:, 0], whole.expected[:, 0], together)
    for place, name in enumerate(grid.events):
        findings += _runs(grid, name, grid.rows[:, place], own.expected[:, place], sign[:, place])
    return findings


def _together(own: Deviations, whole: Deviations) -> npt.NDArray[np.int8]:
    """By day, the sign of the whole log's deviation where it is no single event's doing: most
    of the events that are large enough to deviate do, or none does."""
    sign = whole.sign[:, 0]
    same = ((own.sign == sign[:, None]) & (sign[:, None] != 0)).sum(axis=1)
    large = (own.expected >= MOST_SCALES * LEAST_RATIO).sum(axis=1)
    return np.where((same == 0) | (2 * same > large), sign, 0).astype(np.int8)


def _runs(
    grid: Grid, event: str | None, rows: Counts, expected: Floats, sign: npt.NDArray[np.int8]
) -> list[Finding]:
    findings = []
    for start, end in _stretches(sign):
        found, usual = int(rows[start:end].sum()), float(expected[start:end].sum())
        findings.append(_finding(grid, event, (start, end), found, usual))
    return findings


def _stretches(sign: npt.NDArray[np.int8]) -> list[tuple[int, int]]:
    """Consecutive days of one sign, as half-open ranges."""
    edges = [0, *(np.flatnonzero(np.diff(sign)) + 1).tolist(), len(sign)]
    return [(a, b) for a, b in pairwise(edges) if a < b and sign[a]]


def _finding(
    grid: Grid, event: str | None, span: tuple[int, int], found: int, usual: float
) -> Finding:
    kind: Literal["missing", "drop", "spike"]
    kind = "spike" if found > usual else "drop" if found else "missing"
    first, last = grid.day(span[0]), grid.day(span[1] - 1)
    name = "the log" if event is None else f"'{event}'"
    return Finding(
        severity="error" if kind == "missing" else "warning",
        kind=kind,
        event=event,
        first_day=first,
        last_day=last,
        found=found,
        expected=round(usual, 1),
        message=f"{name} has {found:,} rows {day_or_days(first, last)}; "
        f"about {usual:,.0f} were to be expected",
    )
