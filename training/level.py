"""Where the level of churn stands at the present cutoff: what could be said of it.

The level at a cutoff is what must be added to a frozen model's log-odds for the sum to be right
there. So what the features explain is no part of it. A candidate proposes how far the level has
moved since the newest matured cutoff, from nothing but what is known at the present one. Days are
those since 1970, horizons are in days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from training.metrics import Floats

YEAR_DAYS = 364.0  # 52 weeks: the same weekday
YEAR_TOLERANCE_DAYS = 16.0
LEAST_TREND = 3
MOST_SLOPES = 60
CARRY_SPREAD = 0.5  # how far from the hazard's ratio a carried-on level is expected, as a share
PARTIAL, PERIOD = "partial", "period"


@dataclass(frozen=True)
class Level:
    """The level at one cutoff and its standard error."""

    day: float
    level: float
    error: float


@dataclass(frozen=True)
class Known:
    """What is known on the day `now`.

    `full`: levels at matured cutoffs, oldest first; `early`: by shorter horizon, levels of that
    horizon's outcome wherever it has matured; `carry`: what a step of an early level is worth
    to the full one if hazards move in proportion; `label_shift`: by name, the moves that the
    unlabelled scores of `now` speak for; `period`: the move by calendar (training.period).
    """

    now: float
    embargo_days: float
    full: tuple[Level, ...]
    early: Mapping[int, tuple[Level, ...]] = field(default_factory=dict)
    carry: Mapping[int, float] = field(default_factory=dict)
    label_shift: Mapping[str, float] = field(default_factory=dict)
    period: Proposal | None = None


@dataclass(frozen=True)
class Proposal:
    """A move of the level since the newest matured cutoff, and the standard error of what it is
    measured by (0 where it is no measurement, or where it is drawn in already).

    `stretch`: what the distance of log-odds from `middle` is to be multiplied by, too.
    """

    shift: float
    error: float = 0.0
    stretch: float = 1.0
    middle: float = 0.0

    @property
    def surely(self) -> float:
        """Drawn to none by its own noise. James & Stein 1961, positive part."""
        if self.shift == 0.0:
            return 0.0
        return self.shift * max(0.0, 1 - (self.error / self.shift) ** 2)


def none(known: Known) -> Proposal:
    return Proposal(0.0)


def recent(known: Known) -> Proposal | None:
    """The mean of all matured levels, a half as heavy for each embargo of age."""
    if len(known.full) == 1:
        return None
    days, levels, errors = _columns(known.full)
    age = (days[-1] - days) / known.embargo_days
    weights = 0.5**age / (errors**2 + max(float(np.var(levels)), 1e-6))
    return Proposal(float(weights @ levels / weights.sum() - levels[-1]))


def year_ago(known: Known) -> Proposal | None:
    """The level of the same season a year ago."""
    then = _a_year_before(known, known.now)
    newest = known.full[-1]
    if then is None or then is newest:
        return None
    return Proposal(then.level - newest.level, float(np.hypot(then.error, newest.error)))


def year_change(known: Known) -> Proposal | None:
    """The move that the level made a year ago, over the same part of the year."""
    newest = known.full[-1]
    start, end = _a_year_before(known, newest.day), _a_year_before(known, known.now)
    if start is None or end is None or start is end:
        return None
    return Proposal(end.level - start.level, float(np.hypot(start.error, end.error)))


def trend(known: Known) -> Proposal | None:
    """The median slope of pairs of matured levels, carried on to now. Theil 1950, Sen 1968."""
    if len(known.full) < LEAST_TREND:
        return None
    days, levels, _ = _columns(known.full[-MOST_SLOPES:])
    later, earlier = np.tril_indices(len(days), -1)
    apart = days[later] - days[earlier]
    far = apart >= 0.5 * min(known.embargo_days, days[-1] - days[0])
    slopes = ((levels[later] - levels[earlier]) / np.maximum(apart, 1e-9))[far]
    return Proposal(float(np.median(slopes)) * (known.now - days[-1]))


def partial(known: Known) -> Proposal | None:
    """What the best of the shorter horizons says: the one with the least of its own noise and of
    the walk that the level may have gone since the cutoff at which it is measured."""
    if not known.early:
        return None
    walk = _walk(known)
    found = []
    for days in sorted(known.early):
        if (proposal := partial_of(known, days)) is not None:
            age = known.now - known.early[days][-1].day
            found.append((proposal.error**2 + walk * age, days, proposal))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _walk(known: Known) -> float:
    """The variance of the level's steps by day, less the noise: of the shortest horizon's levels,
    which are the most and the newest."""
    days, levels, errors = _columns(known.early[min(known.early)])
    steps, apart = np.diff(levels), np.diff(days)
    noise = errors[1:] ** 2 + errors[:-1] ** 2
    return max(float(np.sum(steps**2 - noise) / np.sum(apart)), 0.0)


def partial_of(known: Known, days: int) -> Proposal | None:
    """The move of the early level since the newest matured cutoff, times what it is worth."""
    newest, seen = known.full[-1], known.early[days]
    at_newest = [level for level in seen if level.day == newest.day]
    if not at_newest or seen[-1].day <= newest.day:
        return None
    was, now = at_newest[0], seen[-1]
    worth = _worth(known, days, now.day - newest.day)
    return Proposal(worth * (now.level - was.level), worth * float(np.hypot(now.error, was.error)))


def _worth(known: Known, days: int, lag: float) -> float:
    """What a step of the early level is worth to the full one: the hazard's ratio, mended by the
    steps over `lag` that both levels have made at matured cutoffs."""
    prior = known.carry.get(days, 1.0)
    early = {level.day: level for level in known.early[days]}
    both = [(early[full.day], full) for full in known.full if full.day in early]
    top = below = 0.0
    steps = 0
    for j, (now_early, now_full) in enumerate(both):
        before = [pair for pair in both[:j] if pair[1].day <= now_full.day - lag]
        if not before:
            continue
        was_early, was_full = before[-1]
        step = now_early.level - was_early.level
        top += step * (now_full.level - was_full.level)
        below += step**2
        steps += 1
    if not steps:
        return prior
    span = both[-1][1].day - both[0][1].day
    alone = max(1.0, min(float(steps), span / max(lag, 1.0)))
    unexplained = max(below / steps, 1e-6)
    # One independent step moves the ratio as far as the prior's spread allows.
    prior_weight = unexplained / max(CARRY_SPREAD * prior, 1e-6) ** 2
    mended = (top * alone / steps + prior_weight * prior) / (below * alone / steps + prior_weight)
    return float(np.clip(mended, 0.0, 2 * prior))


def period(known: Known) -> Proposal | None:
    return known.period


def hazard_carry(early_rate: float, full_rate: float) -> float:
    """What a step of an early outcome's log-odds is worth to the full one's, if hazards move in
    proportion: d logit(S) / d log(H) = -H / (1 - exp(-H)) with S = exp(-H)."""
    falling = early_rate >= full_rate
    survive = (early_rate, full_rate) if falling else (1 - early_rate, 1 - full_rate)
    steep = [_steepness(min(max(s, 1e-4), 1 - 1e-4)) for s in survive]
    return steep[1] / steep[0]


def _steepness(survival: float) -> float:
    hazard = -float(np.log(survival))
    return hazard / -float(np.expm1(-hazard))


def label_shift(name: str) -> Callable[[Known], Proposal | None]:
    def proposed(known: Known) -> Proposal | None:
        found = known.label_shift.get(name)
        return None if found is None else Proposal(found)

    return proposed


CANDIDATES: dict[str, Callable[[Known], Proposal | None]] = {
    "none": none,
    "recent": recent,
    "year_ago": year_ago,
    "year_change": year_change,
    "trend": trend,
    "em": label_shift("em"),
    "bbse": label_shift("bbse"),
    PARTIAL: partial,
    PERIOD: period,
}
WORDS = {
    "recent": "the mean of past cutoffs",
    "year_ago": "the level of a year ago",
    "year_change": "the move of a year ago",
    "trend": "the trend of past cutoffs",
    "em": "the scores of today's users",
    "bbse": "the scores of today's users",
    PARTIAL: "what has passed of newer horizons",
    PERIOD: "what happened in the newest weeks",
}
MEASURED = ("em", "bbse", PARTIAL, PERIOD)
BY_YEAR = ("year_ago", "year_change")  # these know of the season


def _a_year_before(known: Known, day: float) -> Level | None:
    wanted = day - YEAR_DAYS
    near = min(known.full, key=lambda level: (abs(level.day - wanted), level.day))
    return near if abs(near.day - wanted) <= YEAR_TOLERANCE_DAYS else None


def _columns(levels: tuple[Level, ...]) -> tuple[Floats, Floats, Floats]:
    rows = np.array([(level.day, level.level, level.error) for level in levels])
    return rows[:, 0], rows[:, 1], rows[:, 2]
