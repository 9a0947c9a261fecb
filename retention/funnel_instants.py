"""A user's events at one time as one row, with marks of what happened then.

So no order of rows within an instant can matter, and one rule holds for ties: what lies at the
instant of a step is not between it and another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from events.properties import told_by_event
from retention.steps import FunnelQuestion

HELD = "held"
PERSON = "person"
NEVER = -(1 << 61)  # a start so early that no window reaches it
NO_START = pl.lit(NEVER, pl.Int64)


@dataclass(frozen=True)
class Marks:
    """The sets of events that a plan tells apart; each is a Boolean column of the instants."""

    sets: tuple[frozenset[str], ...]

    @staticmethod
    def of(asked: FunnelQuestion) -> Marks:
        """Those of each step, new or written before, and of what breaks the way to it; in any
        order those of all steps together too."""
        wanted = [asked.events] if asked.order == "any" else []
        for step in range(len(asked.steps)):
            told = (asked.steps[step],) if asked.order == "any" else new_and_repeated(asked, step)
            wanted += [*told, asked.excluded(step)]
        return Marks(tuple(dict.fromkeys(frozenset(names) for names in wanted if names)))

    def __call__(self, names: Sequence[str]) -> pl.Expr:
        """Whether one of these happened at the instant."""
        if not names:
            return pl.lit(value=False)
        return pl.col(f"mark_{self.sets.index(frozenset(names))}")

    def made(self) -> dict[str, pl.Expr]:
        return {f"mark_{n}": is_one_of(names) for n, names in enumerate(self.sets)}


def new_and_repeated(asked: FunnelQuestion, step: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A step's events that are new in the funnel, and those that an earlier step has too."""
    before = {name for earlier in asked.steps[:step] for name in earlier}
    names = asked.steps[step]
    return (
        tuple(name for name in names if name not in before),
        tuple(name for name in names if name in before),
    )


def is_one_of(names: Iterable[str]) -> pl.Expr:
    ordered = sorted(names)
    event = pl.col("event")
    return event == ordered[0] if len(ordered) == 1 else event.is_in(ordered)


def marked(
    events: pl.LazyFrame, asked: FunnelQuestion, marks: Marks, *, in_order: bool, named: bool
) -> pl.LazyFrame:
    """A row for each event that matters, a user's after another in the order of time: person
    (from 1; with a property held, of each user and value of it), at (microseconds since 1970),
    the marks; `named`: user_id and `held` too. `in_order`: so the events lie already."""
    keys = ["user_id"] if asked.hold is None else ["user_id", HELD]
    told = {} if asked.hold is None else {HELD: told_by_event(asked.hold)}
    rows = events.with_columns(at=pl.col("ts").cast(pl.Int64), **marks.made())
    if asked.order != "strict":  # there every event may lie between
        rows = rows.filter(pl.any_horizontal(list(marks.made())))
    rows = rows.with_columns(**told).select(*keys, "at", *marks.made())
    if asked.hold is not None:
        rows = rows.filter(pl.col(HELD).is_not_null())
    if not in_order or asked.hold is not None:
        rows = rows.sort(*keys, "at")
    rows = rows.with_columns(changes(keys).cum_sum().alias(PERSON))
    return rows if named else rows.drop(keys)


def one_a_time(rows: pl.LazyFrame, marks: Marks) -> pl.LazyFrame:
    """The rows of one instant as one: what happened is what a running sum counts in it."""
    names = list(marks.made())
    counted = rows.with_columns(pl.col(name).cast(pl.UInt32).cum_sum() for name in names)
    last = counted.filter(changes([PERSON, "at"], after=True))
    return last.with_columns(pl.col(n) != pl.col(n).shift(1).fill_null(0) for n in names)


def has_ties() -> pl.Expr:
    """Whether two of the marked rows share an instant."""
    return ~changes([PERSON, "at"]).all()


def changes(keys: Sequence[str], *, after: bool = False) -> pl.Expr:
    """Whether a row differs in a key from the one before it, or after it; the first or the last
    of all does."""
    other = -1 if after else 1
    return pl.any_horizontal(
        (pl.col(key) != pl.col(key).shift(other)).fill_null(value=True) for key in keys
    )


def in_range(asked: FunnelQuestion) -> pl.Expr:
    """Whether an attempt may start at the instant."""
    inside = pl.lit(value=True)
    if asked.since is not None:
        inside &= pl.col("at") >= micros(asked.since)
    if asked.until is not None:
        inside &= pl.col("at") < micros(asked.until)
    return inside


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exactly."""
    seconds = int(instant.replace(microsecond=0).timestamp())
    return seconds * 1_000_000 + instant.microsecond


def carried_down(value: pl.Expr, where: pl.Expr) -> pl.Expr:
    """`value` of the last instant with `where`, the row's own or an earlier one of the person;
    NEVER where there is none."""
    first = pl.when(changes([PERSON])).then(NO_START)
    return pl.when(where).then(value).otherwise(first).forward_fill()


def just_before(carried: pl.Expr) -> pl.Expr:
    """What a carried value was at the person's instant before; NEVER at the first."""
    return pl.when(changes([PERSON])).then(NO_START).otherwise(carried.shift(1))
