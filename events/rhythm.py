"""Clocks that are hours off: some users' day moved against the day of all.

A channel's visits by hour of the day are compared with those of its weekday in the weeks before.
Where a share a of the clocks is k hours ahead, the hours are (1 - a) p + a p moved by k: a
mixture with two parameters, which must be far likelier than p and explain most of what is off.
A burst at one hour, a holiday's late morning and a change to summer time do not look so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from events.findings import Finding, called, day_or_days
from events.grid import Counts, Flags, Grid
from events.medians import Floats

HOURS = 24
WEEKS_BEFORE = 12
LEAST_WEEKS = 4
RAMP_DAYS = 14  # a log that begins has no habits yet
LEAST_VISITS = 50  # in the days looked at; in their weekdays before, a third of it a day
SPANS = (1, 3, 7, 10)  # days looked at together
LEAST_GAIN = 12.0  # of log likelihood, over that of no move: measured, see docs/tracking.md
LEAST_EXPLAINED = 0.7  # of what a free share for each hour would gain
LEAST_SHARE = 0.05
LEAST_HOURS = 3  # less is the habit of a season or a holiday, or summer time
BURST = 50.0  # a gain of free shares by which a day is no habit at all: a campaign, a job
LONG = 28  # days after which it is the usual
_CHANCE = (HOURS - 1) / 2  # what free shares gain where nothing is off
_SHARES = np.linspace(0.02, 1.0, 50)
_MOVES = np.arange(1, HOURS)
_MOVED = (np.arange(HOURS)[None, :] - _MOVES[:, None]) % HOURS  # as np.roll by each


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
    free: dict[int, float] = {}  # by day, what free shares gain over the seven days up to it
    found: list[MovedClock] = []
    day = 0
    while day < len(visits):
        move, start = _seen_by(visits, usual, day, free)
        if move is None:
            usual[day] &= not _is_burst(visits, usual, day)
            day += 1
            continue
        end = _until(visits, usual, start, day, move)
        move = _over_all(visits, usual, range(start, end)) or move
        if found and start <= found[-1].end:
            start, move = found[-1].start, max(found.pop().move, move, key=lambda m: m.gain)
        found.append(MovedClock(start, end, move))
        if end - start < LONG:
            usual[start:end] = False
        else:
            usual[:start] = False
        day = end
    return found


def _seen_by(
    visits: Counts, usual: Flags, day: int, free: dict[int, float]
) -> tuple[Move | None, int]:
    """The likeliest move of the days that end with this one, if any is likely, and its first."""
    best: tuple[Move | None, int] = (None, day)
    restless = _restless(free, day)
    for span in SPANS:
        days = [d for d in range(max(day - span + 1, 0), day + 1) if usual[d]]
        if not days or days[-1] != day or visits[days].sum() < LEAST_VISITS:
            continue
        expected, times = _expected(visits, usual, days, days[0])
        if not times:
            continue
        seen = visits[days].sum(axis=0)
        least = LEAST_GAIN * restless * (1 + 1 / times)  # what is expected errs too
        most = _free(seen, expected)
        if span == 7:  # noqa: PLR2004
            free[day] = most
        if most < least:
            continue
        move = _best(seen, expected)
        if _is_a_move(move, most, least) and (best[0] is None or move.gain > best[0].gain):
            best = (move, _first(visits, usual, days, move))
    return best


def _restless(free: dict[int, float], day: int) -> float:
    """How much more than chance the weeks before gained from free shares, at least 1: few users
    of strong habits move the hours by themselves."""
    weeks = [free[d] for d in range(day - 7, day - 7 * WEEKS_BEFORE - 1, -7) if d in free]
    return max(1.0, float(np.median(weeks)) / _CHANCE) if weeks else 1.0


def _free(seen: Counts, expected: Floats) -> float:
    """What is gained by giving each hour the share that it has."""
    there = seen > 0
    return float((seen[there] * np.log(seen[there] / (seen.sum() * expected[there]))).sum())


def _is_burst(visits: Counts, usual: Flags, day: int) -> bool:
    if not usual[day]:
        return False
    expected, times = _expected(visits, usual, [day], day)
    return bool(times) and _free(visits[day], expected) > BURST


def _expected(visits: Counts, usual: Flags, days: list[int], before: int) -> tuple[Floats, float]:
    """The share of each hour in the days' weekdays of the weeks before `before`, as often as the
    days have visits; and how many visits that is known from for each of theirs, 0 where it is
    known from too few."""
    total, known_visits = np.zeros(HOURS), 0
    for day in days:
        places = [p for p in range(day - 7, day - 7 * WEEKS_BEFORE - 1, -7) if p >= RAMP_DAYS]
        places = [p for p in places if usual[p] and p < before]
        known = visits[places].sum(axis=0)
        if len(places) < LEAST_WEEKS or known.sum() < LEAST_VISITS / 3:
            return total, 0.0
        smooth = known + 0.5
        total += visits[day].sum() * smooth / smooth.sum()
        known_visits += int(known.sum())
    return total / total.sum(), known_visits / int(visits[days].sum())


def _best(seen: Counts, expected: Floats) -> Move:
    """The likeliest share and hours."""
    moved = expected[_MOVED] / expected - 1
    gains = np.log1p((_SHARES[:, None, None] * moved[None]).clip(-1 + 1e-9)) @ seen
    share, hours = np.unravel_index(int(np.argmax(gains)), gains.shape)
    return Move(float(_SHARES[share]), int(_MOVES[hours]), float(gains[share, hours]))


def _is_a_move(move: Move, free: float, least: float) -> bool:
    if move.gain < least or move.share < LEAST_SHARE:
        return False
    if min(move.hours, HOURS - move.hours) < LEAST_HOURS:
        return False
    return move.gain >= LEAST_EXPLAINED * (free - _CHANCE)


def _gain(visits: Counts, usual: Flags, day: int, before: int, move: Move) -> float:
    expected, times = _expected(visits, usual, [day], before)
    if not times:
        return 0.0
    mixed = 1 + move.share * (np.roll(expected, move.hours) / expected - 1)
    return float(visits[day] @ np.log(mixed.clip(1e-9)))


def _first(visits: Counts, usual: Flags, days: list[int], move: Move) -> int:
    """The day from which on the days together speak most for the move."""
    gains = [_gain(visits, usual, day, days[0], move) for day in days]
    after = np.cumsum(gains[::-1])[::-1]
    return days[int(np.argmax(after))]


def _until(visits: Counts, usual: Flags, start: int, day: int, move: Move) -> int:
    """The day after the one up to which the days together speak most for the move; a week that
    adds nothing, or days that speak as much against it as is needed for one, end it."""
    end, total, most = day + 1, 0.0, 0.0
    for later in range(day + 1, len(visits)):
        total += _gain(visits, usual, later, start, move)
        if total > most:
            end, most = later + 1, total
        if later - end >= 7 or total < most - LEAST_GAIN:  # noqa: PLR2004
            break
    return end


def _over_all(visits: Counts, usual: Flags, days: range) -> Move | None:
    """The likeliest move of all the days together, where their hours are known from before."""
    busy = [day for day in days if visits[day].sum() and day < days[0] + 7 * LEAST_WEEKS]
    expected, times = _expected(visits, usual, busy, days[0])
    return _best(visits[busy].sum(axis=0), expected) if times else None


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
