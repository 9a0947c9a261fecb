"""The plans behind a funnel, for one bucket: how many users come how far and how fast, and who.

A plan without a `device` is pure. With one it is collected in between: ties are rare in most
logs, and only where there are some must instants be made of the events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from events.contract import TIME
from retention.funnel_instants import (
    HELD,
    PERSON,
    Marks,
    changes,
    has_ties,
    marked,
    one_a_time,
)
from retention.funnel_orders import OPEN, at_of, reached, start_of
from retention.funnel_value import OTHERS, VALUE, pooled, values
from retention.steps import FunnelQuestion
from runtime.collect import collect
from runtime.device import Device

MICROSECONDS = 1_000_000
STILL_OPEN = -1  # in `seconds`: users whose window has not ended when the log does
BY = (VALUE, OTHERS)


@dataclass(frozen=True)
class Bucket:
    """What a plan reads. `in_order`: the events lie by user and time. `users`: the users table,
    where the funnel is broken down by an attribute."""

    events: pl.LazyFrame
    in_order: bool = False
    users: pl.LazyFrame | None = None
    device: Device | None = None


def counts_plan(bucket: Bucket, asked: FunnelQuestion, top: tuple[str, ...] = ()) -> pl.LazyFrame:
    """Counts of one bucket: step (0-based), seconds, users; broken down also `value` (one of
    `top`, or null) and `others`.

    `seconds` is the time of a user's first completion of the step, counted from the latest
    start that leads to it, cut to whole seconds: a histogram of them sums over buckets without
    growing with the number of users, and its quantiles are exact to the second.
    """
    people = _people(bucket, asked, named=asked.by is not None)
    by: tuple[str, ...] = ()
    if asked.by is not None:
        people, by = _valued(people, bucket, asked, top), BY
    depth = _depth(asked)
    still = pl.when(pl.col(OPEN) & (depth < len(asked.steps) - 1)).then(depth)
    taken = {str(step): _seconds(step) for step in range(len(asked.steps))}
    wide = people.select(*by, **taken, still=still)
    long = wide.unpivot(index=by, variable_name="step", value_name="seconds")
    long = long.filter(pl.col("seconds").is_not_null())
    counts = long.group_by(*by, "step", "seconds").agg(users=pl.len().cast(pl.Int64))
    stopped = pl.col("step") == "still"
    number = pl.when(~stopped).then(pl.col("step")).cast(pl.Int64)
    return counts.select(
        *by,
        step=pl.when(stopped).then(pl.col("seconds")).otherwise(number),
        seconds=pl.when(stopped).then(pl.lit(STILL_OPEN, pl.Int64)).otherwise(pl.col("seconds")),
        users="users",
    )


def values_plan(bucket: Bucket, asked: FunnelQuestion) -> pl.LazyFrame:
    """Counts of one bucket: value, users who start."""
    people = _valued(_people(bucket, asked, named=True), bucket, asked, None)
    return people.group_by(VALUE).agg(users=pl.len().cast(pl.Int64))


def users_plan(bucket: Bucket, asked: FunnelQuestion, top: tuple[str, ...] = ()) -> pl.LazyFrame:
    """A row for each user who starts: user_id, reached (the last step, from 1), started (of the
    attempt that led there first), at (when); broken down also `value` and `others`."""
    people = _people(bucket, asked, named=True)
    if asked.by is not None:
        people = _valued(people, bucket, asked, top)
    return people.select(
        "user_id",
        reached=_depth(asked) + 1,
        started=_of_deepest(asked, start_of).cast(TIME),
        at=_of_deepest(asked, at_of).cast(TIME),
        **({name: pl.col(name) for name in BY} if asked.by is not None else {}),
    )


def _people(bucket: Bucket, asked: FunnelQuestion, *, named: bool) -> pl.LazyFrame:
    """`reached` of each user; `named`: with user_id and, where a property is held, `held`: the
    value of the best attempt, of several alike the smallest."""
    marks = Marks.of(asked)
    named = named or asked.hold is not None
    rows = marked(bucket.events, asked, marks, in_order=bucket.in_order, named=named)
    rows = _instants(rows, marks, bucket.device)
    names = [] if not named else ["user_id"] if asked.hold is None else ["user_id", HELD]
    found = _settled(reached(rows.drop(names), asked, marks), bucket.device)
    if named:
        persons = rows.filter(changes([PERSON])).select(PERSON, *names)
        found = _settled(found.join(persons, on=PERSON), bucket.device)
    return found if asked.hold is None else _one_a_user(found, asked)


def _instants(rows: pl.LazyFrame, marks: Marks, device: Device | None) -> pl.LazyFrame:
    if device is None or device.kind == "gpu":
        return one_a_time(rows, marks)
    held = _settled(rows, device)
    tied = collect(held.select(tied=has_ties()), device).item()
    return one_a_time(held, marks) if tied else held


def _settled(plan: pl.LazyFrame, device: Device | None) -> pl.LazyFrame:
    """Collected now, so that what is made of it twice is computed once."""
    return plan if device is None or device.kind == "gpu" else collect(plan, device).lazy()


def _one_a_user(persons: pl.LazyFrame, asked: FunnelQuestion) -> pl.LazyFrame:
    """Of the persons that a user is, one for each value held, for each step the first who
    completes it; of those who do at one instant, the latest start."""
    steps = range(len(asked.steps))
    firsts = persons.group_by("user_id").agg(
        *(pl.col(at_of(step)).min().alias(f"first_{step}") for step in steps),
    )
    rows = persons.join(firsts, on="user_id")
    latest = {
        start_of(step): pl.when(pl.col(at_of(step)) == pl.col(f"first_{step}"))
        .then(pl.col(start_of(step)))
        .max()
        for step in steps
    }
    users = rows.group_by("user_id").agg(
        *(pl.col(f"first_{step}").min().alias(at_of(step)) for step in steps),
        pl.col(OPEN).max(),
        **latest,
    )
    if asked.by is None:
        return users
    own = persons.select("user_id", HELD, *(e.alias(f"own_{n}") for n, e in _best(asked).items()))
    alike = own.join(users.select("user_id", **_best(asked)), on="user_id")
    alike = alike.filter(pl.col(f"own_{name}") == pl.col(name) for name in _best(asked))
    return users.join(alike.group_by("user_id").agg(pl.col(HELD).min()), on="user_id")


def _best(asked: FunnelQuestion) -> dict[str, pl.Expr]:
    """The attempt that leads furthest, first."""
    deepest = {"at": _of_deepest(asked, at_of), "start": _of_deepest(asked, start_of)}
    return {"depth": _depth(asked), **deepest}


def _valued(
    people: pl.LazyFrame, bucket: Bucket, asked: FunnelQuestion, top: tuple[str, ...] | None
) -> pl.LazyFrame:
    """The people with `value`, and where `top` is given with `others`."""
    people = _settled(people, bucket.device)
    held = [] if asked.hold is None else [HELD]
    best = people.select("user_id", *held, start=_of_deepest(asked, start_of))
    told = values(best, bucket.events, bucket.users, asked)
    return people.join(told if top is None else pooled(told, top), on="user_id")


def _depth(asked: FunnelQuestion) -> pl.Expr:
    """The last step reached, from 0."""
    steps = range(len(asked.steps))
    return pl.sum_horizontal(pl.col(at_of(step)).is_not_null().cast(pl.Int64) for step in steps) - 1


def _of_deepest(asked: FunnelQuestion, column: Callable[[int], str]) -> pl.Expr:
    return pl.coalesce(*(column(step) for step in reversed(range(len(asked.steps)))))


def _seconds(step: int) -> pl.Expr:
    return (pl.col(at_of(step)) - pl.col(start_of(step))) // MICROSECONDS
