"""Clocks that are hours off: some users' day moved against the day of all.

A channel's visits by hour of the day are compared with those of its weekday in the weeks before.
Where a share a of the clocks is k hours ahead, the hours are (1 - a) p + a p moved by k: a
mixture with two parameters, which must be far likelier than p and explain most of what is off.
A burst at one hour, a holiday's late morning and a change to summer time do not look so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from events.baseline import Floats
from events.findings import Finding, called, day_or_days
from events.grid import Counts, Flags, Grid

HOURS = 24
WEEKS_BEFORE = 8
LEAST_WEEKS = 3
LEAST_VISITS = 50  # in the days looked at, and five times that before
SPANS = (1, 3, 7)  # days looked at together
LEAST_GAIN = 20.0  # of log likelihood, over the one of no shift: by chance e^-20, 500 tries a week
LEAST_EXPLAINED = 0.6  # of what a free share for each hour would gain
LEAST_SHARE = 0.05
LEAST_HOURS = 3  # less is the habit of a season or a holiday, or summer time
LONG = 28  # days after which it is the usual
_SHARES = np.linspace(0.02, 1.0, 50)
_MOVES = tuple(range(1, HOURS))


@dataclass(frozen=True)
class Move:
    """A share of the clocks so many hours ahead; `gain`: of log likelihood."""

    share: float
    hours: int
    gain: float


@dataclass(frozen=True)
class MovedClock:
    """Days `start` to before `end`."""

    start: int
    end: int
    move: Move


def clock_findings(grid: Grid, hours: dict[str | None, Counts]) -> list[Finding]:
    """Of each channel. `hours`: visits begun, shape (days, 24)."""
    return [
        _finding(grid, channel, moved)
        for channel, visits in hours.items()
        for moved in moved_clocks(visits, grid.holiday)
    ]


def moved_clocks(visits: Counts, holiday: Flags) -> list[MovedClock]:
    """`visits`: shape (days, 24)."""
    usual = ~holiday & (visits.sum(axis=1) > 0)
    found: list[MovedClock] = []
    day = 0
    while day < len(visits):
        move, start = _seen_by(visits, usual, day)
        if move is None:
            day += 1
            continue
        end = _until(visits, usual, start, day, move)
        days = [d for d in range(start, end) if visits[d].sum()]
        whole = _best(visits[days].sum(axis=0), _expected(visits, usual, days, start))
        found.append(MovedClock(start, end, whole if whole.hours == move.hours else move))
        if end - start < LONG:
            usual[start:end] = False
        else:
            usual[:start] = False
        day = end
    return found


def _seen_by(visits: Counts, usual: Flags, day: int) -> tuple[Move | None, int]:
    """The likeliest move of the days that end with this one, if any is likely, and its first."""
    best: tuple[Move | None, int] = (None, day)
    for span in SPANS:
        days = [d for d in range(max(day - span + 1, 0), day + 1) if usual[d]]
        if not days or days[-1] != day or visits[days].sum() < LEAST_VISITS:
            continue
        expected = _expected(visits, usual, days, days[0])
        seen = visits[days].sum(axis=0)
        move = _best(seen, expected) if expected.any() else None
        if move and _is_a_move(move, seen, expected) and (not best[0] or move.gain > best[0].gain):
            best = (move, _first(visits, usual, days, move))
    return best


def _expected(visits: Counts, usual: Flags, days: list[int], before: int) -> Floats:
    """The share of each hour in the days' weekdays of the eight weeks before `before`, as often
    as the days have visits; zero where too few are known."""
    total = np.zeros(HOURS)
    for day in days:
        places = [p for p in range(day - 7, day - 7 * WEEKS_BEFORE - 1, -7) if p >= 0]
        places = [p for p in places if usual[p] and p < before]
        known = visits[places].sum(axis=0)
        if len(places) < LEAST_WEEKS or known.sum() < 5 * LEAST_VISITS / len(SPANS):
            return np.zeros(HOURS)
        smooth = known + 0.5
        total += visits[day].sum() * smooth / smooth.sum()
    shares: Floats = total / max(total.sum(), 1e-300)
    return shares


def _best(seen: Counts, expected: Floats) -> Move:
    """The likeliest share and hours."""
    best = Move(0.0, 0, 0.0)
    for hours in _MOVES:
        moved = np.roll(expected, hours)
        mixed = np.log1p(_SHARES[:, None] * (moved / expected - 1).clip(-1 + 1e-9)[None, :])
        gains = mixed @ seen
        at = int(np.argmax(gains))
        if gains[at] > best.gain:
            best = Move(float(_SHARES[at]), hours, float(gains[at]))
    return best


def _is_a_move(move: Move, seen: Counts, expected: Floats) -> bool:
    if move.gain < LEAST_GAIN or move.share < LEAST_SHARE:
        return False
    if min(move.hours, HOURS - move.hours) < LEAST_HOURS:
        return False
    there = seen > 0
    free = float((seen[there] * np.log(seen[there] / (seen.sum() * expected[there]))).sum())
    return move.gain >= LEAST_EXPLAINED * (free - HOURS / 2)  # what chance alone gains is half a df


def _gain(visits: Counts, usual: Flags, day: int, before: int, move: Move) -> float:
    expected = _expected(visits, usual, [day], before)
    if not expected.any():
        return 0.0
    mixed = 1 + move.share * (np.roll(expected, move.hours) / expected - 1)
    return float(visits[day] @ np.log(mixed.clip(1e-9)))


def _first(visits: Counts, usual: Flags, days: list[int], move: Move) -> int:
    """The day from which on the days together speak most for the move."""
    gains = [_gain(visits, usual, day, days[0], move) for day in days]
    after = np.cumsum(gains[::-1])[::-1]
    return days[int(np.argmax(after))]


def _until(visits: Counts, usual: Flags, start: int, day: int, move: Move) -> int:
    """The day after the last that speaks for the move, before three that together do not."""
    end, against = day + 1, 0.0
    for later in range(day + 1, len(visits)):
        gain = _gain(visits, usual, later, start, move)
        against = min(against + gain, 0.0)
        if gain > 0 and against == 0.0:
            end = later + 1
        if later - end >= 2 or against < -LEAST_GAIN / 4:  # noqa: PLR2004
            break
    return end


def _finding(grid: Grid, channel: str | None, moved: MovedClock) -> Finding:
    first, last = grid.day(moved.start), grid.day(moved.end - 1)
    hours = moved.move.hours
    words = f"{hours} hours ahead" if hours <= HOURS // 2 else f"{HOURS - hours} hours behind"
    return Finding(
        severity="warning",
        kind="clock",
        event=None,
        channel=channel,
        first_day=first,
        last_day=last,
        found=round(moved.move.share, 2),
        expected=0,
        message=f"about {moved.move.share:.0%} of the clocks of {called(None, channel)} are "
        f"{words} {day_or_days(first, last)}: the hours of their day have moved",
    )
