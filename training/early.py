"""Outcomes of shorter horizons: what the first days after a cutoff already tell.

At a cutoff too recent for its horizon to have passed, the first 7 days, say, have: who was silent
in them is known. `training.level` carries such outcomes on to the full horizon. They are targets
of measurement, never features: at the present cutoff itself there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from events.store import EventStore
from events.users import scan_users
from features.labels import label_plan
from features.time import Cutoff
from runtime.clock import DAY
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings

PARTS = 4
MOST_CUTOFFS = 80  # a year and a half of weeks
WEEK = 7
LEAST_WEEKLY, MOST_WEEKLY = 14, 30
CPU = Device("cpu", "outcomes of shorter horizons")


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


def level_cutoffs(
    now: Cutoff, oldest: Cutoff, settings: Settings, most: int = MOST_CUTOFFS
) -> list[Cutoff]:
    """`now` and a cutoff each step before it, not before `oldest`, the newest `most`, newest
    first. Labels of those within an embargo of `now` have not matured by then, and must not be
    asked for. The level needs no more than some thousand users at each: sample large logs."""
    step = step_days(settings)
    count = (now.at - oldest.at) // timedelta(days=step) if now.at >= oldest.at else -1
    return [Cutoff(now.at - k * step * DAY) for k in range(min(count + 1, most))]


def early_outcomes(
    store: EventStore, settings: Settings, cutoffs: Sequence[Cutoff], days: Sequence[int]
) -> pl.DataFrame:
    """`cutoff`, `user_id`, and for each of `days` `churn_<days>d` (Int8) and `value_<days>d`
    (Float64): null where the log is not complete to the end of that horizon. A bucket and a
    cutoff at a time; sorted by cutoff and user."""
    parts = [
        _at(store, settings, bucket, cutoff, days)
        for bucket in store.buckets
        for cutoff in sorted(set(cutoffs))
    ]
    return pl.concat(parts).sort("cutoff", "user_id")


def _at(
    store: EventStore, settings: Settings, bucket: int, cutoff: Cutoff, days: Sequence[int]
) -> pl.DataFrame:
    users = scan_users(settings, bucket)
    found: pl.DataFrame | None = None
    for each in sorted(days):
        plan = label_plan(store.scan(bucket), cutoff, _shorter(settings, each), users)
        known = cutoff.at + (settings.churn.gap_days + each) * DAY <= store.covered_until
        seen = [pl.when(known).then(pl.col(name)).alias(f"{name}_{each}d") for name in TARGETS]
        part = collect(plan.select("user_id", *seen), CPU)
        found = part if found is None else found.join(part, on="user_id", validate="1:1")
    if found is None:
        raise ValueError("early_outcomes: no days given; give those of early_days(settings)")
    at = pl.lit(cutoff.at, dtype=pl.Datetime("us", "UTC")).alias("cutoff")
    return found.select(at, pl.all())


TARGETS = ("churn", "value")


def _shorter(settings: Settings, days: int) -> Settings:
    churn = settings.churn.model_copy(update={"horizon_days": days})
    value = settings.value.model_copy(update={"horizon_days": days})
    return settings.model_copy(update={"churn": churn, "value": value})
