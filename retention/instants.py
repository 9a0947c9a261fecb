"""The instants at which users are looked at: the ends of consecutive periods, the last perhaps now.

Each period has one: its end or, where it has not ended, the instant up to which the log is
complete. Periods and days are the whole numbers of `events.calendar`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import polars as pl

from events.calendar import Period, begins, first_day, period_at, period_of
from events.store import EventStore
from runtime.clock import MICROSECOND, show
from runtime.errors import UsageError

MOST_AT_ONCE = 60  # what a bucket holds grows with it: a row for each user and instant
_WEEK, _THURSDAY, _YEAR = 7, 3, 12


@dataclass(frozen=True)
class ByPeriod:
    """What every table of periods says of itself; `covered_until`: where the log ends."""

    period: Period
    timezone: str
    as_of: datetime
    covered_until: datetime

    def head(self) -> dict[str, str]:
        return {
            "period": self.period,
            "timezone": self.timezone,
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
        }


@dataclass(frozen=True)
class Instants:
    """Of the periods `first` to `last`, both in it. Their places count from 0."""

    period: Period
    zone: str
    first: int
    last: int
    covered_until: datetime

    def __len__(self) -> int:
        return self.last - self.first + 1

    @cached_property
    def at(self) -> tuple[datetime, ...]:
        ends = (begins(n + 1, self.period, self.zone) for n in range(self.first, self.last + 1))
        return tuple(min(end, self.covered_until) for end in ends)

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The first day of each period."""
        return tuple(first_day(n, self.period) for n in range(self.first, self.last + 1))

    @property
    def last_day(self) -> int:
        """The number of the last calendar day before the last instant."""
        return period_at(self.at[-1] - MICROSECOND, "day", self.zone)

    @property
    def ends_open(self) -> bool:
        """Whether the last instant lies within its period."""
        return self.covered_until < begins(self.last + 1, self.period, self.zone)

    def complete(self, place: int) -> bool:
        return place < len(self) - 1 or not self.ends_open

    def known_at(self) -> pl.Expr:
        """The place of the first instant at which an event is known, Int32; after the last
        instant: that many or more. Now, all that the store holds is known."""
        known = pl.max_horizontal("ts", "received")
        place = (period_of(known, self.period, self.zone) - self.first).cast(pl.Int32)
        return place.clip(0, len(self) - 1) if self.ends_open else place.clip(0)

    def reached(self, day: pl.Expr) -> pl.Expr:
        """The place of the first instant that lies after a local day's begin, Int32; null where
        none does."""
        number = period_of_day(day, self.period) - self.first
        return pl.when(day <= self.last_day).then(number.clip(0).cast(pl.Int32))

    def blocks(self) -> Iterator[Instants]:
        """These instants, so many at once, each time with the one before as the first."""
        for start in range(self.first, self.last, MOST_AT_ONCE):
            last = min(start + MOST_AT_ONCE, self.last)
            yield Instants(self.period, self.zone, start, last, self.covered_until)


def period_of_day(day: pl.Expr, period: Period) -> pl.Expr:
    """The number of the period that a local day falls in, Int32."""
    if period == "day":
        return day
    if period == "week":
        return (day + _THURSDAY) // _WEEK
    local = day.cast(pl.Date)
    return local.dt.year().cast(pl.Int32) * _YEAR + local.dt.month().cast(pl.Int32) - 1


def instants_of(
    store: EventStore,
    period: Period,
    zone: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Instants:
    """Of the log's periods that `[since, until)` touches, and of the one before them.

    Raises UsageError where there are none.
    """
    first, last = shown_periods(store, period, zone, since, until)
    return Instants(period, zone, first - 1, last, store.covered_until)


def shown_periods(
    store: EventStore,
    period: Period,
    zone: str,
    since: datetime | None,
    until: datetime | None,
) -> tuple[int, int]:
    """The first and the last period of the log that `[since, until)` touches. Raises UsageError."""
    if since is not None and until is not None and since >= until:
        raise UsageError(f"since {since:%Y-%m-%d} is not before until {until:%Y-%m-%d}")
    first = period_at(store.first, period, zone)
    last = period_at(store.covered_until - MICROSECOND, period, zone)
    begun = first if since is None else max(first, period_at(since, period, zone))
    ended = last if until is None else min(last, period_at(until - MICROSECOND, period, zone))
    if begun > ended:
        raise UsageError(
            f"no {period} of the log lies in the range; it goes from {first_day(first, period)} "
            f"to {store.covered_until:%Y-%m-%d}"
        )
    return begun, ended


def period_holding(at: datetime, store: EventStore, period: Period, zone: str) -> int:
    """The period that an instant falls in. Raises UsageError for one outside the log."""
    first, last = shown_periods(store, period, zone, None, None)
    number = period_at(at, period, zone)
    if not first <= number <= last:
        raise UsageError(
            f"at {at:%Y-%m-%d}: no such {period} in the log; its first begins on "
            f"{first_day(first, period)}, its last on {first_day(last, period)}"
        )
    return number
