"""The level of value: money per unit of an estimator of relative value, for a horizon to come.

What people spend moves from one cutoff to the next, and one large buyer can make most of a sum. So
the level is not that of the newest slice alone, but followed from cutoff to cutoff: each counts by
how well it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.metrics import Floats
from training.rows import Rows

DRIFT = 0.2  # how far the log of a level walks in a horizon, one standard deviation
SHOCK = 0.1  # how far one horizon's sum strays from its level, though all users were there
MOST_ROWS = 300_000  # of more a fold of the users is looked at: auto asks for each mixture


@dataclass(frozen=True)
class Level:
    """The log of money per unit at the cutoff `day` and the variance of it."""

    day: float
    log: float
    variance: float


def levels_of(margin: Floats, rows: Rows) -> list[Level]:
    """One for each cutoff of the rows that brought something, oldest first. `margin`: logs of
    relative value, shape (n,); `rows` with values.

    The variance is that of a ratio of two sums over users (Cochran 1977, 6.3), not over rows: what
    one user brings is counted once however many rows know of it.
    """
    assert rows.value is not None
    found = []
    for day in np.unique(rows.day):
        there = rows.day == day
        value, told = rows.value[there], np.exp(margin[there])
        if (total := float(value.sum())) > 0:
            ratio = total / float(told.sum())
            who = np.unique(rows.users[there], return_inverse=True)[1]
            missed = np.bincount(who, value - ratio * told)
            spread = float(np.square(missed).sum()) / total**2
            found.append(Level(float(day), float(np.log(ratio)), spread))
    return found


def followed(levels: Sequence[Level], horizon_days: float) -> float:
    """Money per unit at the newest cutoff: a random walk seen with noise, by the Kalman filter of
    the local level model (Harvey 1989, 4.1.2); of two of the same cutoff the surer one counts more.

    `levels`: at least one; `horizon_days`: how long it takes to walk by DRIFT.
    """
    first, *later = sorted(levels, key=lambda level: level.day)
    day, log, variance = first.day, first.log, first.variance + SHOCK**2
    for level in later:
        variance += DRIFT**2 * (level.day - day) / horizon_days
        gain = variance / (variance + level.variance + SHOCK**2)
        day, log, variance = level.day, log + gain * (level.log - log), variance * (1 - gain)
    return float(np.exp(log))


def some_users(rows: Rows) -> Rows:
    """All rows, or of more than MOST_ROWS those of a fold of the users."""
    return rows if len(rows) <= MOST_ROWS else rows.where(rows.fold == rows.fold.min())
