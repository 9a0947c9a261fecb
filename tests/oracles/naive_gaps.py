"""The gaps between active days, the present silence beside them, and streaks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from oracles.naive_person import Person, Values, mean, over

STEPS = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 180, 365)


def gaps(person: Person) -> Values:
    days = person.days_of(person.active)
    found = [later - earlier for earlier, later in pairwise(days)]
    silence = person.age(person.active[-1])
    longest = max(found, default=None)
    runs = streaks(days)
    return {
        "gap_mean_days": mean(found),
        "gap_deviation_days": statistics.stdev(found) if len(found) > 1 else None,
        "gap_max_days": longest,
        "gap_last_days": found[-1] if found else None,
        "gap_burstiness": burstiness(found),
        "gap_memory": memory(found),
        "gap_now_over_mean": over(silence, mean(found)),
        "gap_now_over_max": over(silence, longest),
        "gap_now_quantile": quantile(found, silence),
        "streak_max_days": max(runs),
        "streak_last_days": runs[-1],
    }


def burstiness(found: Sequence[int]) -> float | None:
    if len(found) < 2:
        return None
    deviation, usual = statistics.stdev(found), statistics.fmean(found)
    return (deviation - usual) / (deviation + usual)


def memory(found: Sequence[int]) -> float | None:
    """Pearson's correlation of each gap with the one before, from its definition."""
    earlier, later = found[:-1], found[1:]
    if len(set(earlier)) < 2 or len(set(later)) < 2:
        return None
    around = [[gap - statistics.fmean(side) for gap in side] for side in (earlier, later)]
    spread = [math.sqrt(math.fsum(x * x for x in side)) for side in around]
    return math.fsum(x * y for x, y in zip(*around, strict=True)) / (spread[0] * spread[1])


def quantile(found: Sequence[int], silence: float) -> float | None:
    """The silence is rounded down to one of the steps; below the first, no gap is as short."""
    if not found:
        return None
    reached = max((step for step in STEPS if step <= silence), default=0)
    return sum(gap <= reached for gap in found) / len(found)


def streaks(days: Sequence[int]) -> list[int]:
    """Lengths of the runs of days that follow each other, in order."""
    runs: list[int] = []
    previous = None
    for day in days:
        if previous is not None and day == previous + 1:
            runs[-1] += 1
        else:
            runs.append(1)
        previous = day
    return runs
