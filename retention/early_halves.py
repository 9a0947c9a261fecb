"""Which users early markers are searched on, and which later ones they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from events.calendar import begins, first_day, period_at
from events.store import EventStore
from retention.early_markers import Cohorts
from runtime.clock import local_midnight, show
from runtime.errors import LabelError
from runtime.settings_early import Early

WEEK_DAYS = 7
CROWD = 3


@dataclass(frozen=True)
class Halves:
    """Whoever comes at or after `split` is for validation; `unfinished` came too late for it.
    `crowd`: users of the log's first week if there are CROWD times as many as in a later one."""

    search: Cohorts
    validation: Cohorts
    unfinished: int
    split: datetime
    crowd: int = 0


def last_known(store: EventStore, days: int, zone: str) -> datetime:
    """The latest first event after which so many days have passed within the log."""
    if not store.date_only:
        return store.covered_until - timedelta(days=days)
    day = store.covered_until.astimezone(ZoneInfo(zone)).date()
    return local_midnight(day - timedelta(days=days), zone)


def halves_of(
    came: pl.DataFrame, early: Early, last: datetime, days: int, store: EventStore, zone: str
) -> Halves:
    """From the sums of `newcomers_plan`. The split is the midnight that parts the users whose
    outcomes are known most nearly as `early.search` says; the earlier one of two. Raises
    LabelError."""
    known = came.filter(pl.col("known") == 1).sort("day")
    users = int(known["users"].sum())
    if users < 2 * early.least_users:
        raise LabelError(
            f"early markers: the {days} days that outcomes need have passed for {users:,} users, "
            f"the last of whom may come on {show(last)} (the log is complete until "
            f"{show(store.covered_until)}); {2 * early.least_users:,} are needed at least, "
            "choose fewer days or fewer users under [early], or ingest a longer log"
        )
    numbers = known["day"].to_list()
    if len(numbers) == 1:
        raise LabelError(
            f"early markers: all {users:,} users whose outcome is known came on "
            f"{first_day(numbers[0], 'day')}; there is no later cohort to validate with"
        )
    upto = known["users"].cum_sum().to_list()[:-1]
    place = min(range(len(upto)), key=lambda n: (abs(upto[n] - early.search * users), n)) + 1
    split = numbers[place]
    return Halves(
        search=_cohorts(numbers[0], split, upto[place - 1]),
        validation=_cohorts(split, numbers[-1] + 1, users - upto[place - 1]),
        unfinished=int(came.filter(pl.col("known") == 0)["users"].sum()),
        split=begins(split, "day", zone),
        crowd=_crowd(came, period_at(store.first, "day", zone)),
    )


def _crowd(came: pl.DataFrame, first: int) -> int:
    """A log that begins in the middle of things first sees its old users all at once."""
    at_first = int(came.filter(pl.col("day") < first + WEEK_DAYS)["users"].sum())
    days = int(came["day"].max()) + 1 - first - WEEK_DAYS  # type: ignore[arg-type]
    a_week = (int(came["users"].sum()) - at_first) / max(days, 1) * WEEK_DAYS
    return at_first if days >= WEEK_DAYS and at_first > CROWD * a_week else 0


def _cohorts(start: int, end: int, users: int) -> Cohorts:
    return Cohorts(first_day(start, "day"), first_day(end, "day"), users)
