"""How much of a large log a training reads: the users of as many buckets as its rows may fill.

Users are hashed to buckets, so those of some buckets are a random sample, and only their snapshots
and sequences are made. What is learned of names and categories still is of everyone, and so are
scores.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from events.store import EventStore
from runtime.clock import DAY
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings
from training.plan import Plan, plan_of
from training.split import STAGES

CPU = Device("cpu", "a look at the store")


def sampled(settings: Settings, store: EventStore) -> tuple[EventStore, Plan]:
    """The plan of a training, and the store with as many of its first buckets as hold
    `training.rows` rows, a user at a cutoff each; one at least, and where that one holds more, a
    plan of fewer cutoffs, the newest. The plan's notes say so. Raises LabelError as `plan_of`.
    """
    plan, most = plan_of(settings, store), settings.training.rows
    rows = 0
    for count, bucket in enumerate(store.buckets, start=1):
        rows += _rows(settings, store, plan, bucket)
        if rows < most:
            continue
        asked = settings.training.cutoffs
        fewer = max(len(STAGES), asked * most // rows) if count == 1 else asked
        if fewer < asked:
            shorter = settings.training.model_copy(update={"cutoffs": fewer})
            plan = plan_of(settings.model_copy(update={"training": shorter}), store)
        if fewer < asked or count < len(store.buckets):
            note = (
                f"a large log: learned from the users of {count} of {len(store.buckets)} buckets "
                f"at {len(plan.split.cutoffs)} cutoffs; training.rows = {most:,} bounds them"
            )
            plan = replace(plan, split=replace(plan.split, notes=(*plan.split.notes, note)))
        return store.first_buckets(count), plan
    return store, plan


def _rows(settings: Settings, store: EventStore, plan: Plan, bucket: int) -> int:
    """Users of a bucket with an event so near before a cutoff that they may be eligible, summed
    over the cutoffs."""
    within = settings.eligible.within_days
    seen = []
    for number, cutoff in enumerate(plan.split.cutoffs):
        known = pl.col("ts") < cutoff.at
        if within is not None:
            known &= pl.col("ts") >= cutoff.at - within * DAY
        seen.append(pl.col("user_id").filter(known).n_unique().alias(str(number)))
    return sum(collect(store.scan(bucket).select(seen), CPU).row(0))
