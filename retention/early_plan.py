"""The plans behind early markers: who did what how often in the first days, and what came of it.

Days are elapsed: 24 hours, counted from the user's first event, so that every user has as much
time as any other. A log of dates only has no hours: there they are the calendar's days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from events.activity import is_active
from events.calendar import period_of
from events.properties import Dimension, told_by_event
from features.definitions import value_amount
from retention.anchors import within
from runtime.settings import Activity, Value

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
# The kinds of behaviour, the plainer first: of two that the same users do the first one is told.
KINDS = ("event", "paid", "channel", "property", "active_days", "sessions")
EVERYONE = -1  # in `kind`: all users, whatever they did
# Users by their active events of the first 24 hours: up to 0, 1, 3, 7, 15, 31, or more.
BUSY = (0, 1, 3, 7, 15, 31)


@dataclass(frozen=True, order=True)
class Candidate:
    """Who did it at least so often in so many first days, and what is to come of it. `name`: ""
    where the kind says it all; of a property "NAME=VALUE"."""

    outcome: str
    kind: str
    name: str
    at_least: int
    days: int

    @property
    def behaviour(self) -> tuple[str, str]:
        return self.kind, self.name


@dataclass(frozen=True)
class EarlyQuestion:
    """`since`, `until` (may be None), `last`: users first seen in `[since, until)` and at or
    before `last`, so that their outcomes are known. `split`: whoever comes at or after it is for
    validation. `stay`: days, half-open; `pay_until`: the day that paying ends before.
    `leaving`: events by which users leave, if churn is active."""

    activity: Activity
    value: Value
    pay_events: tuple[str, ...]
    leaving: tuple[str, ...]
    properties: tuple[str, ...]
    date_only: bool
    session_gap_us: int
    first_days: tuple[int, ...]
    counts: tuple[int, ...]
    stay: tuple[int, int]
    pay_until: int
    since: datetime | None
    until: datetime | None
    last: datetime
    split: datetime
    zone: str


def newcomers_plan(
    events: pl.LazyFrame,
    since: datetime | None,
    until: datetime | None,
    last: datetime,
    zone: str,
    *,
    in_order: bool = False,
) -> pl.LazyFrame:
    """One bucket's users by the calendar day of their first event: day, known (whether their
    outcomes are), users."""
    rows = _from_first(events.select("user_id", "ts"), in_order).filter(pl.col("fresh"))
    rows = rows.filter(within("first", since, until))
    day = period_of(pl.col("first"), "day", zone)
    counted = rows.select(day=day, known=(pl.col("first") <= last).cast(pl.Int32))
    return counted.group_by("day", "known").agg(users=pl.len().cast(pl.Int64))


def early_plan(
    events: pl.LazyFrame, asked: EarlyQuestion, *, in_order: bool = False
) -> pl.LazyFrame:
    """Counts of one bucket: later (1: for validation), busy (place in BUSY of the first day's
    active events), stayed, paid, kind (place in KINDS), name, at_least, within, users.

    `paid`: how many of `first_days` lie at or before the user's last payment in time; whoever
    has more than i paid after first_days[i]. `within`: the place of the smallest of `first_days`
    in which the behaviour was seen `at_least` times. Kind -1 counts everyone.
    """
    rows = early_rows(events, asked, in_order=in_order)
    people = _people(rows, asked)
    done = done_early(rows, asked).join(people, on="user")
    by = ["later", "busy", "stayed", "paid", "kind", "name", "at_least", "within"]
    everyone = people.with_columns(
        kind=pl.lit(EVERYONE, pl.Int32),
        name=pl.lit("", pl.String),
        at_least=pl.lit(0, pl.Int32),
        within=pl.lit(0, pl.Int32),
    )
    counted = pl.concat([everyone.select(by), done.select(by)])
    return counted.group_by(by).agg(users=pl.len().cast(pl.Int64))


def early_rows(events: pl.LazyFrame, asked: EarlyQuestion, *, in_order: bool) -> pl.LazyFrame:
    """The rows of the users asked for, up to the end of all windows, in order: user (a number),
    user_id, first, elapsed (microseconds since), event, channel, active, pays and properties."""
    told = {p: told_by_event(Dimension(p, "property")) for p in asked.properties}
    columns = events.select(
        "user_id",
        "ts",
        "event",
        "channel",
        active=is_active(asked.activity),
        pays=_pays(asked),
        **{f"property:{name}": value for name, value in told.items()},
    )
    end = max(asked.stay[1], asked.pay_until) * DAY_US
    inside = within("first", asked.since, asked.until) & (pl.col("first") <= asked.last)
    rows = _from_first(columns, in_order).with_columns(user=_running(pl.col("fresh")))
    rows = rows.filter(inside).with_columns(elapsed=_elapsed(asked))
    # Every kind of behaviour reads them: without the cache they are made anew for each.
    return rows.filter(pl.col("elapsed") < end).cache()


def _pays(asked: EarlyQuestion) -> pl.Expr:
    pays = value_amount(asked.value).fill_null(0.0) > 0
    if asked.pay_events:
        pays |= pl.col("event").is_in(list(asked.pay_events))
    return pays


def active_plan(events: pl.LazyFrame, asked: EarlyQuestion) -> pl.LazyFrame:
    """One bucket's active events by whether (1) they are payments: pays, rows."""
    active = events.filter(is_active(asked.activity)).select(pays=_pays(asked).cast(pl.Int32))
    return active.group_by("pays").agg(rows=pl.len().cast(pl.Int64))


def _elapsed(asked: EarlyQuestion) -> pl.Expr:
    if not asked.date_only:
        return pl.col("ts").cast(pl.Int64) - pl.col("first").cast(pl.Int64)
    days = period_of(pl.col("ts"), "day", asked.zone) - period_of(
        pl.col("first"), "day", asked.zone
    )
    return days.cast(pl.Int64) * DAY_US


def _from_first(rows: pl.LazyFrame, in_order: bool) -> pl.LazyFrame:
    """Adds `fresh` (a user's first row) and `first` (its instant) to rows sorted by user, time."""
    ordered = rows if in_order else rows.sort("user_id", "ts")
    fresh = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=True)
    ordered = ordered.with_columns(fresh=fresh)
    return ordered.with_columns(first=pl.when(pl.col("fresh")).then(pl.col("ts")).forward_fill())


def _running(flag: pl.Expr) -> pl.Expr:
    return flag.cast(pl.Int64).cum_sum()


def _people(rows: pl.LazyFrame, asked: EarlyQuestion) -> pl.LazyFrame:
    """One row a user: user, later, busy, stayed, paid."""
    elapsed = pl.col("elapsed")
    start, end = (day * DAY_US for day in asked.stay)
    stays = pl.col("active") & (elapsed >= start) & (elapsed < end)
    pays = pl.col("pays") & (elapsed < asked.pay_until * DAY_US)
    people = rows.group_by("user").agg(
        first=pl.col("first").min(),
        stayed=stays.cast(pl.Int32).max(),
        paid_at=pl.when(pays).then(elapsed).max(),
        actions=(pl.col("active") & (elapsed < DAY_US)).cast(pl.Int32).sum(),
    )
    paid, busy = pl.lit(0, pl.Int32), pl.lit(0, pl.Int32)
    for days in asked.first_days:
        paid = paid + (pl.col("paid_at") >= days * DAY_US).fill_null(value=False).cast(pl.Int32)
    for most in BUSY:
        busy = busy + (pl.col("actions") > most).cast(pl.Int32)
    later = (pl.col("first") >= asked.split).cast(pl.Int32)
    return people.select("user", "stayed", later=later, paid=paid, busy=busy)


def done_early(rows: pl.LazyFrame, asked: EarlyQuestion) -> pl.LazyFrame:
    """What each user did in the first days at least so often: user, kind, name, at_least, when it
    had been done so often (`at`: microseconds from the first event; `ts`: the instant), within.
    """
    early = rows.filter(pl.col("elapsed") < asked.first_days[-1] * DAY_US)
    seen = pl.concat(_occurrences(early, asked)).sort("user", "kind", "name", "at")
    other = pl.lit(value=False)
    for column in ("user", "kind", "name"):
        other |= (pl.col(column) != pl.col(column).shift(1)).fill_null(value=True)
    seen = seen.with_columns(fresh=other, row=_running(pl.col("at").is_not_null()))
    start = pl.when(pl.col("fresh")).then(pl.col("row")).forward_fill()
    seen = seen.with_columns(at_least=(pl.col("row") - start + 1).cast(pl.Int32))
    place = pl.lit(0, pl.Int32)
    for days in asked.first_days:
        place = place + (pl.col("at") >= days * DAY_US).cast(pl.Int32)
    reached = seen.filter(pl.col("at_least").is_in(list(asked.counts)))
    return reached.select("user", "kind", "name", "at_least", "at", "ts", within=place)


def _occurrences(early: pl.LazyFrame, asked: EarlyQuestion) -> list[pl.LazyFrame]:
    """Every time that something was done, one frame a kind: user, kind, name, at, ts."""
    none = pl.lit("", pl.String)
    found = [
        _kind(early, "event", pl.col("event")),
        _kind(early.filter(pl.col("pays")), "paid", none),
        _kind(early.filter(pl.col("channel").is_not_null()), "channel", pl.col("channel")),
    ]
    for name in asked.properties:
        value = pl.col(f"property:{name}")
        told = pl.concat_str(pl.lit(f"{name}="), value)
        found.append(_kind(early.filter(value.is_not_null()), "property", told))
    active = early.filter(pl.col("active"))
    day = pl.col("elapsed") // DAY_US
    found.append(_kind(active.filter(_begins(day != day.shift(1))), "active_days", none))
    if not asked.date_only:
        pause = pl.col("elapsed") - pl.col("elapsed").shift(1)
        begins = _begins(pause > asked.session_gap_us)
        found.append(_kind(active.filter(begins), "sessions", none))
    return found


def _begins(anew: pl.Expr) -> pl.Expr:
    """Whether a row is the user's first one, or begins something anew."""
    other = pl.col("user") != pl.col("user").shift(1)
    return (other | anew).fill_null(value=True)


def _kind(rows: pl.LazyFrame, kind: str, name: pl.Expr) -> pl.LazyFrame:
    return rows.select(
        "user", "ts", kind=pl.lit(KINDS.index(kind), pl.Int32), name=name, at=pl.col("elapsed")
    )


def done_by_plan(
    events: pl.LazyFrame,
    asked: EarlyQuestion,
    marker: Candidate,
    *,
    in_order: bool = False,
) -> pl.LazyFrame:
    """The users of validation that a marker fits, one bucket, sorted: user_id, first, reached
    (the instant at which it had been done so often), outcome (whether it came)."""
    rows = early_rows(events, asked, in_order=in_order)
    people = _people(rows, asked).filter(pl.col("later") == 1)
    done = done_early(rows, asked).filter(
        (pl.col("kind") == KINDS.index(marker.kind))
        & (pl.col("name") == marker.name)
        & (pl.col("at_least") == marker.at_least)
        & (pl.col("at") < marker.days * DAY_US)
    )
    came = pl.col("stayed") == 1
    if marker.outcome == "pays":
        came = pl.col("paid") > asked.first_days.index(marker.days)
    called = rows.filter(pl.col("fresh")).select("user", "user_id", "first")
    listed = done.join(people, on="user").join(called, on="user")
    return listed.select("user_id", "first", reached="ts", outcome=came).sort("user_id")
