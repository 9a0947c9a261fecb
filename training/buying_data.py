"""When customers bought: (x, t_x, T) of each, from event rows, and equal ones counted once.

x     frequency: purchases after the first one
t_x   recency: time from the first purchase to the last one, 0 where x is 0
T     age: time from the first purchase to the end of the last day before the cutoff

Times are in one unit (days or weeks) throughout; purchases of one calendar day are one purchase.
This recency is the one of Fader, Hardie & Lee (2005) and is not the glossary's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from events.calendar import period_at, period_of
from features.time import Cutoff
from runtime.clock import MICROSECOND
from runtime.errors import SchemaError, UsageError
from training.metrics import Floats

Unit = Literal["day", "week"]
UNIT_DAYS: dict[str, float] = {"day": 1.0, "week": 7.0}
KEYS = ("frequency", "recency", "age")
MERGED_ROWS = 1_000_000  # wait for one another before they are counted again


@dataclass(frozen=True)
class Histories:
    """Customers in the order they were given, each array of shape (n,), Float64."""

    frequency: Floats
    recency: Floats
    age: Floats

    def __len__(self) -> int:
        return len(self.frequency)


@dataclass(frozen=True)
class Groups:
    """Different histories, in an order that is theirs, not the customers', and how many customers
    have each; arrays of shape (n,)."""

    frequency: Floats
    recency: Floats
    age: Floats
    weight: Floats

    @property
    def customers(self) -> int:
        return round(float(self.weight.sum()))

    def every(self, step: int) -> Groups:
        """Each step-th of them: in the order of a hash, a random sample that is always the same."""
        return Groups(*(part[::step] for part in vars(self).values()))

    def over(self, unit: float) -> Groups:
        """Times divided by `unit`."""
        return Groups(self.frequency, self.recency / unit, self.age / unit, self.weight)


def purchases_plan(
    events: pl.LazyFrame,
    cutoff: Cutoff,
    zone: str = "UTC",
    unit: Unit = "day",
    *,
    free: bool = False,
) -> pl.LazyFrame:
    """One row a user with a purchase before the cutoff, by `user_id`; the others have none.

    A purchase is a calendar day of `zone` with an amount above 0, or of 0 too where `free`;
    refunds are left out, and so are rows without an amount. Reads `user_id`, `ts`, `amount`;
    nothing at or after the cutoff. Makes frequency, recency, age (Float64, in `unit`),
    `repeat_mean` (mean spend of the purchases after the first; null where there are none) and
    `mean` (of all purchases). As lifetimes' `summary_data_from_
    transaction_data`, whose observation ends on the last day before the cutoff. Raises UsageError.
    """
    if unit not in get_args(Unit):
        raise UsageError(f"unit '{unit}' is not known; choose one of {', '.join(get_args(Unit))}")
    length = UNIT_DAYS[unit]
    last_day = period_at(cutoff.at - MICROSECOND, "day", zone)
    bought = purchase_rows(events, cutoff, free=free)
    days = bought.select("user_id", "amount", day=period_of(pl.col("ts"), "day", zone))
    # Sums of amounts depend on their order in the last digit; the order of the rows must not.
    days = days.sort("user_id", "day", "amount")
    days = days.group_by("user_id", "day", maintain_order=True).agg(spend=pl.col("amount").sum())
    people = days.group_by("user_id", maintain_order=True).agg(
        frequency=pl.len().cast(pl.Float64) - 1,
        first=pl.col("day").min(),
        last=pl.col("day").max(),
        total=pl.col("spend").sum(),
        first_spend=pl.col("spend").first(),
    )
    repeats = pl.col("frequency") > 0
    return people.select(
        "user_id",
        "frequency",
        recency=(pl.col("last") - pl.col("first")).cast(pl.Float64) / length,
        age=(last_day - pl.col("first")).cast(pl.Float64) / length,
        repeat_mean=pl.when(repeats).then(
            (pl.col("total") - pl.col("first_spend")) / pl.col("frequency")
        ),
        mean=pl.col("total") / (pl.col("frequency") + 1),
    ).sort("user_id")


def purchase_rows(events: pl.LazyFrame, cutoff: Cutoff, *, free: bool = False) -> pl.LazyFrame:
    """The rows that are of a purchase before the cutoff: see `purchases_plan`."""
    paid = pl.col("amount") >= 0 if free else pl.col("amount") > 0
    return events.filter((pl.col("ts") < cutoff.at) & paid & pl.col("amount").is_finite())


def histories(frame: pl.DataFrame) -> Histories:
    """The histories of a frame with frequency, recency and age, in its order.

    Raises SchemaError where a row cannot be one: x not whole or below 0, not 0 <= t_x <= T,
    t_x above 0 without a repeat, a value missing or infinite.
    """
    missing = [name for name in KEYS if name not in frame.columns]
    if missing:
        raise SchemaError(
            f"buying: no column '{missing[0]}'; found {', '.join(map(repr, frame.columns))}; "
            "make them with purchases_plan"
        )
    x, t, age = (frame[n].cast(pl.Float64).fill_null(np.nan).to_numpy() for n in KEYS)
    fine = (x >= 0) & (x == np.floor(x)) & (t >= 0) & (t <= age) & np.isfinite(x + age)
    fine &= (x > 0) | (t == 0)
    if not fine.all():
        k = int(np.argmin(fine))
        raise SchemaError(
            f"buying: row {k} of {len(fine):,} has frequency {x[k]}, recency {t[k]}, age {age[k]}; "
            "frequency is a whole number of repeats and 0 <= recency <= age"
        )
    return Histories(x, t, age)


class Tally:
    """Counts histories as they come; a chunk is let go once it is counted.

    What is made of them is the same in any order of customers and in any division into chunks.
    """

    def __init__(self) -> None:
        self._found: list[Groups] = []
        self._waiting = 0

    def add(self, chunk: Histories) -> None:
        once = Groups(chunk.frequency, chunk.recency, chunk.age, np.ones(len(chunk)))
        self._found.append(_counted([once]))
        self._waiting += len(self._found[-1].weight)
        if self._waiting > max(MERGED_ROWS, 2 * len(self._found[0].weight)):
            self._found, self._waiting = [_counted(self._found)], 0

    def groups(self) -> Groups:
        """Raises UsageError where there is no customer."""
        whole = self._found[0] if len(self._found) == 1 else _counted(self._found)
        if not len(whole.weight):
            raise UsageError("buying: no customer to fit on; found 0, give those with a purchase")
        return whole


def group(chunks: Iterable[Histories]) -> Groups:
    """The groups of all chunks. Raises UsageError where there is no customer."""
    tally = Tally()
    for chunk in chunks:
        tally.add(chunk)
    return tally.groups()


def _counted(parts: list[Groups]) -> Groups:
    """Sorted by a hash of the history, several times as fast as by its three numbers.

    Two histories of one hash (one in 10^5 logs of 10 million customers has any) stay two groups.
    """
    x, t, age, weight = (
        np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)])
        for name in (*KEYS, "weight")
    )
    order = np.argsort(_hash([x, t, age]))
    x, t, age, weight = x[order], t[order], age[order], weight[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (x[1:] != x[:-1]) | (t[1:] != t[:-1]) | (age[1:] != age[:-1])
    starts = np.flatnonzero(new)
    if len(starts) < len(order):
        weight = np.add.reduceat(weight, starts)
        x, t, age = x[starts], t[starts], age[starts]
    return Groups(x, t, age, weight)


def _hash(columns: list[Floats]) -> npt.NDArray[np.uint64]:
    """64 bits of each row's values: splitmix64's mixing (Steele, Lea & Flood 2014), by column."""
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed ^= (column + 0.0).view(np.uint64)  # -0.0 is 0.0
        mixed += np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed ^= mixed >> np.uint64(shift)
            mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return mixed
