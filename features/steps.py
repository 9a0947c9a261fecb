"""The horizon cut into steps, each with labels of its own.

What happens by the end of a step is known long before the horizon has passed, so recent cutoffs
teach their first steps, and a log too young for one label of the whole horizon still teaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from events.store import EventStore
from features.matured import longest_horizon_days
from runtime.settings import Settings

STEPS = 6  # where the settings leave them out


def steps_of(settings: Settings) -> tuple[int, ...]:
    """Where the steps end, in days after the gap; the last one ends with the horizon."""
    horizon = settings.churn.horizon_days
    number = min(settings.training.steps or STEPS, horizon)
    return tuple(-(-horizon * k // number) for k in range(1, number + 1))


def shortened(settings: Settings, days: int) -> Settings:
    """The same with a horizon of `days`, and that of value in proportion, a day at least."""
    value = -(-settings.value_horizon_days * days // settings.churn.horizon_days)
    churn = settings.churn.model_copy(update={"horizon_days": days})
    return settings.model_copy(
        update={
            "churn": churn,
            "value": settings.value.model_copy(update={"horizon_days": value}),
        }
    )


def churn_by(days: int) -> str:
    """The column of the label by the end of a step."""
    return f"churn_{days}"


def value_by(days: int) -> str:
    return f"value_{days}"


def known_from(settings: Settings, days: int) -> timedelta:
    """How long after a cutoff the labels by the end of a step are known."""
    short = shortened(settings, days)
    return timedelta(days=short.churn.gap_days + longest_horizon_days(short))


def labelled_until(store: EventStore, settings: Settings, steps: Sequence[int]) -> list[datetime]:
    """For each step the latest instant at which a cutoff has its labels."""
    return [store.covered_until - known_from(settings, days) for days in steps]
