"""Outcomes of shorter horizons: what the first days after a cutoff already tell.

At a cutoff too recent for its horizon to have passed, the first 7 days, say, have: who was silent
in them is known. `training.level` carries such outcomes on to the full horizon. They are targets
of measurement, never features: at the present cutoff itself there are none.
"""

from __future__ import annotations

from runtime.settings import Settings

PARTS = 4
WEEK = 7
LEAST_WEEKLY, MOST_WEEKLY = 14, 30


def step_days(settings: Settings) -> int:
    """How far apart cutoffs best lie for following the level of churn: a quarter of gap plus
    horizon, and whole weeks where that is near one, since a part of a week is no sample of a week.
    Never more than a quarter, so that the third step after a cutoff is a step before its end."""
    embargo = settings.churn.gap_days + settings.churn.horizon_days
    return WEEK if LEAST_WEEKLY <= embargo <= MOST_WEEKLY else max(1, embargo // PARTS)


def early_days(settings: Settings) -> tuple[int, ...]:
    """The shorter horizons, in days, that have matured one, two, ... steps after a cutoff."""
    gap, step = settings.churn.gap_days, step_days(settings)
    found = (k * step - gap for k in range(1, PARTS))
    return tuple(days for days in found if 0 < days < settings.churn.horizon_days)
