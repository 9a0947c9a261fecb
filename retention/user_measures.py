"""What every user of a bucket is like at each of several instants, told by what was known before.

The measures are those of `runtime.settings_lifecycle`. An event counts from the first instant
after it has happened and is known; a calendar day leaves a window again at an instant that is
told by the day alone. So each event changes running sums at two or three of the instants, and
one pass over the events serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from polars.lazyframe.group_by import LazyGroupBy

from events.activity import is_active
from events.calendar import period_at
from events.store import EventStore
from features.definitions import Definitions, value_amount
from retention.instants import Instants
from runtime.settings import Settings

UNITS = 1_000_000  # money is summed in whole millionths: in any order the same
LARGEST_AMOUNT = 1e12  # beyond it an amount is taken as this much: whole numbers end at 9e18
DAY_SECONDS = 86_400
_MICROSECONDS = 1_000_000
_BITS = 1 << 34  # seconds of 544 years fit, and half a billion users of a bucket beside them
_DAYS = 1 << 26  # more than there are

SUMS = (
    *("active_days", "left", "gone", "activities", "activities_left"),
    *("orders", "value", "orders_left", "value_left"),
)
MAXIMA = ("first_second", "last_second", "first_day", "last_day")


@dataclass(frozen=True)
class Asked:
    """What the measures depend on beside the events. `origin`: before every event. `arrivals`:
    whether events may become known after they happened."""

    instants: Instants
    definitions: Definitions
    window_days: int
    horizon_days: int
    origin: datetime
    arrivals: bool = True

    @staticmethod
    def of(settings: Settings, store: EventStore, instants: Instants) -> Asked:
        return Asked(
            instants,
            Definitions.of(settings),
            settings.lifecycle.window_days or settings.churn.horizon_days,
            settings.churn.horizon_days,
            store.first.replace(microsecond=0) - timedelta(seconds=1),
            store.has_arrivals,
        )

    @property
    def origin_day(self) -> int:
        return period_at(self.origin, "day", self.instants.zone) - 1


def measured_plan(events: pl.LazyFrame, asked: Asked, *, in_order: bool) -> pl.LazyFrame:
    """One row a user and instant from the first that knows of the user, sorted.

    number (of the user, Int64), user_id, place (of the instant, Int32), fresh (the user's
    first), tenure_days, recency_days, active_days, active_days_recent, active_days_before,
    activities_recent, trend, span_days (from the first active day to the last), orders,
    orders_recent, value_total, value_recent. `in_order`: each user's rows lie together.
    """
    rows = _rows(events, asked, in_order=in_order)
    grid = _grid(rows, asked)
    for part in (_seen(rows), *_days(rows, asked), _left(rows, asked)):
        grid = grid.join(part, on="key", how="left")
    return _as_measures(_run_up(grid.sort("key")), asked)


def _rows(events: pl.LazyFrame, asked: Asked, *, in_order: bool) -> pl.LazyFrame:
    """Of each event: number, user_id, place, key, day and second (both from the origin), active,
    amount (in UNITS, null where it is no value)."""
    if not in_order:
        events = events.sort("user_id")
    changed = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=False)
    local = pl.col("ts").dt.convert_time_zone(asked.instants.zone)
    amount = value_amount(asked.definitions.value).clip(-LARGEST_AMOUNT, LARGEST_AMOUNT)
    begun = int((asked.origin - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    rows = events.select(
        "user_id",
        number=changed.cast(pl.Int64).cum_sum(),
        place=asked.instants.known_at(),
        day=local.dt.date().cast(pl.Int32),
        second=pl.col("ts").cast(pl.Int64) // _MICROSECONDS - begun,
        active=is_active(asked.definitions.activity),
        amount=(amount * UNITS).round(0).cast(pl.Int64),
    )
    return rows.with_columns(key=_key(asked, pl.col("place"))).cache()  # five plans read it


def _key(asked: Asked, place: pl.Expr) -> pl.Expr:
    """One number for a user and an instant; beyond the last instant it belongs to nothing that
    is looked for."""
    here = pl.when(place < len(asked.instants)).then(place)
    return pl.col("number") * len(asked.instants) + here


def _grid(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """Every user at every instant from the first that knows of them."""
    users = rows.group_by("number").agg(
        begun=pl.col("place").min(), user_id=pl.col("user_id").min()
    )
    every = pl.lit(pl.Series(range(len(asked.instants)), dtype=pl.Int32))
    one = pl.lit(1, pl.Int8)  # a join on equality: cuDF has no other here
    places = rows.select(place=every).with_columns(one=one)
    grid = users.with_columns(one=one).join(places, on="one")
    grid = grid.filter(pl.col("place") >= pl.col("begun"))
    return grid.select(
        "number",
        "user_id",
        "place",
        key=_key(asked, pl.col("place")),
        fresh=pl.col("place") == pl.col("begun"),
    )


def _seen(rows: pl.LazyFrame) -> pl.LazyFrame:
    """What becomes known at an instant: the earliest is turned round, so that it too is a
    maximum."""
    return rows.group_by("key").agg(
        first_second=(_BITS - 1) - pl.col("second").min(),
        last_second=pl.when(pl.col("active")).then(pl.col("second")).max(),
        activities=pl.col("active").cast(pl.Int64).sum(),
        orders=pl.col("amount").is_not_null().cast(pl.Int64).sum(),
        value=pl.col("amount").sum(),
    )


def _days(rows: pl.LazyFrame, asked: Asked) -> tuple[pl.LazyFrame, ...]:
    """The active days that come, that leave the window with their activities, and that leave the
    one before it."""
    place = pl.col("place").min()
    active = rows.filter(pl.col("active"))
    if asked.arrivals:
        n = pl.len().cast(pl.Int64)
        done = active.group_by("number", "day", "place").agg(n=n)
        days = done.group_by("number", "day").agg(place)
    else:  # a day's events are known from one instant on
        done = days = _by_day(active)
    since = pl.col("day").cast(pl.Int64) - asked.origin_day
    come = days.with_columns(key=_key(asked, pl.col("place"))).group_by("key")
    one, two = asked.window_days, 2 * asked.window_days
    return (
        come.agg(
            active_days=pl.len().cast(pl.Int64),
            first_day=(_BITS - 1) - since.min(),
            last_day=since.max(),
        ),
        _gone(days, asked, one).agg(left=pl.len().cast(pl.Int64)),
        _gone(done, asked, one).agg(activities_left=pl.col("n").sum()),
        _gone(days, asked, two).agg(gone=pl.len().cast(pl.Int64)),
    )


def _by_day(active: pl.LazyFrame) -> pl.LazyFrame:
    """Each user's days: number, day, place, n. By one sorted number, in a quarter of the time."""
    one = (pl.col("number") * _DAYS + pl.col("day") + _DAYS // 2).alias("one")
    rows = active.select(one, "place").sort("one").with_columns(pl.col("one").set_sorted())
    days = rows.group_by("one").agg(pl.col("place").min(), n=pl.len().cast(pl.Int64))
    return days.select(
        "place",
        "n",
        number=pl.col("one") // _DAYS,
        day=(pl.col("one") % _DAYS - _DAYS // 2).cast(pl.Int32),
    )


def _left(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """The orders that leave the window."""
    orders = rows.filter(pl.col("amount").is_not_null())
    return _gone(orders, asked, asked.window_days).agg(
        orders_left=pl.len().cast(pl.Int64), value_left=pl.col("amount").sum()
    )


def _gone(rows: pl.LazyFrame, asked: Asked, days: int) -> LazyGroupBy:
    """By user and instant the rows whose day is there no longer among the last so many; they do
    not leave before they are known at all."""
    reached = asked.instants.reached(pl.col("day") + days)
    left = pl.when(reached.is_not_null()).then(pl.max_horizontal(reached, "place"))
    went = rows.with_columns(key=_key(asked, left))
    return went.filter(pl.col("key").is_not_null()).group_by("key")


def _run_up(grid: pl.LazyFrame) -> pl.LazyFrame:
    """What is known up to each instant: sums and maxima over a user's instants so far.

    A user's running sum is the whole column's less what it was before the user; a running
    maximum begins anew with each user, as the user's number stands in its higher digits.
    """
    mine = pl.col("number") * _BITS
    grid = grid.with_columns(
        *(pl.col(name).fill_null(0) for name in SUMS),
        *(pl.col(name).fill_null(0) + mine for name in MAXIMA),
    )
    sums = (pl.col(name).cum_sum() for name in SUMS)
    before = (
        pl.when(pl.col("fresh"))
        .then(pl.col(name).cum_sum() - pl.col(name))
        .forward_fill()
        .alias(f"{name} before")
        for name in SUMS
    )
    grid = grid.with_columns(*sums, *before, *(pl.col(n).cum_max() - mine for n in MAXIMA))
    return grid.with_columns(
        *(pl.col(name) - pl.col(f"{name} before") for name in SUMS),
        *(pl.when(pl.col(name) > 0).then(pl.col(name)).alias(name) for name in MAXIMA),
    ).with_columns((_BITS - 1 - pl.col(n)).alias(n) for n in ("first_second", "first_day"))


def _as_measures(grid: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    recent = pl.col("active_days") - pl.col("left")
    before = pl.col("left") - pl.col("gone")
    now = at_each(asked, [(at - asked.origin).total_seconds() for at in asked.instants.at])
    grid = grid.select(
        "number",
        "user_id",
        "place",
        "fresh",
        "active_days",
        "orders",
        tenure_days=(now - pl.col("first_second")) / DAY_SECONDS,
        recency_days=(now - pl.col("last_second")) / DAY_SECONDS,
        active_days_recent=recent,
        active_days_before=before,
        activities_recent=pl.col("activities") - pl.col("activities_left"),
        span_days=pl.col("last_day") - pl.col("first_day"),
        orders_recent=pl.col("orders") - pl.col("orders_left"),
        value_total=pl.col("value") / UNITS,
        value_recent=(pl.col("value") - pl.col("value_left")) / UNITS,
    )
    recent, before = pl.col("active_days_recent"), pl.col("active_days_before")
    told = (pl.col("tenure_days") >= 2 * asked.window_days) & (recent + before > 0)
    return grid.with_columns(trend=pl.when(told).then((recent - before) / (recent + before)))


def at_each(asked: Asked, values: list[float] | list[float | None]) -> pl.Expr:
    """What belongs to the instant of a row, Float64."""
    places = list(range(len(asked.instants)))
    return pl.col("place").replace_strict(places, values, default=None, return_dtype=pl.Float64)
