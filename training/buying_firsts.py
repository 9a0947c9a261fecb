"""What is known of customers from their first purchase on, as covariates of their law.

Taken from the first purchase alone, and from the row of the users table that held then: what a
customer came to be later cannot explain why they came to be it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from events.properties import Dimension, dimension_of, told_by_event
from events.users import VALID_FROM
from features.time import Cutoff
from runtime.counted import counted
from runtime.errors import UsageError
from runtime.settings import Settings
from training.buying_data import purchase_rows
from training.metrics import Floats

NONE, OTHERS = "(none)", "(others)"
MOST = 6  # values of one dimension that are told apart
LEAST_CUSTOMERS = 100  # with a value that is, the one of all others too


def firsts_of(names: Sequence[str], settings: Settings) -> dict[str, Dimension]:
    """By the name of their columns."""
    return {f"first_{name}": dimension_of(name, settings) for name in names}


def first_plan(
    events: pl.LazyFrame,
    cutoff: Cutoff,
    dimensions: Mapping[str, Dimension],
    users: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """`user_id` of each who bought before the cutoff, and the values of their first purchase as
    text, "(none)" where it has none. Of several at one instant the first in order of values.

    users    the users table, for attributes: those of the row that held at the first purchase
    """
    of_events = {name: one for name, one in dimensions.items() if one.kind != "attribute"}
    told = {name: told_by_event(one).fill_null(NONE) for name, one in of_events.items()}
    rows = purchase_rows(events, cutoff).select("user_id", "ts", **told)
    first = rows.sort("user_id", "ts", *told).group_by("user_id", maintain_order=True)
    found = first.agg(pl.col("ts", *told).first())
    if users is not None:
        found = _with_attributes(found, users, dimensions)
    return found.select("user_id", *dimensions)


def _with_attributes(
    first: pl.LazyFrame, users: pl.LazyFrame, dimensions: Mapping[str, Dimension]
) -> pl.LazyFrame:
    named = {n: pl.col(one.name) for n, one in dimensions.items() if one.kind == "attribute"}
    timed = VALID_FROM in users.collect_schema()
    since = pl.col(VALID_FROM) if timed else pl.lit(None, pl.Datetime("us", "UTC"))
    texts = {name: column.cast(pl.String) for name, column in named.items()}
    rows = users.select("user_id", since=since, **texts)
    held = pl.col("since").is_null() | (pl.col("since") <= pl.col("ts"))
    both = first.select("user_id", "ts").join(rows, on="user_id").filter(held)
    both = both.sort("user_id", "since", nulls_last=False).unique(
        "user_id", keep="last", maintain_order=True
    )
    found = first.join(both.select("user_id", *named), on="user_id", how="left")
    return found.with_columns(pl.col(*named).fill_null(NONE))


@dataclass(frozen=True)
class Levels:
    """`told`: by dimension its values that are told apart, the most frequent first: the reference,
    what the others are compared with. "(others)" is one of them where it has LEAST_CUSTOMERS; of
    fewer customers no coefficient can be told, and they have the law of the reference."""

    told: dict[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the covariates."""
        return tuple(
            f"{name}={value}" for name, values in self.told.items() for value in values[1:]
        )

    def pooled(self, people: pl.DataFrame) -> pl.DataFrame:
        """With the values that are not told apart as one, "(others)"."""
        return people.with_columns(
            pl.when(pl.col(name).is_in(values)).then(name).otherwise(pl.lit(OTHERS)).alias(name)
            for name, values in self.told.items()
        )

    def notes(self, pooled: pl.DataFrame) -> tuple[str, ...]:
        """Of values that have no coefficient, in words."""
        few = {
            name: int((pooled[name] == OTHERS).sum())
            for name, values in self.told.items()
            if OTHERS not in values
        }
        return tuple(
            f"{name}: {counted(count, 'customers')} of {OTHERS}, fewer than {LEAST_CUSTOMERS}: "
            f"taken to buy and leave as those of '{self.told[name][0]}'"
            for name, count in few.items()
            if count
        )

    def columns(self, pooled: pl.DataFrame) -> Floats:
        """0 or 1 for each of `names`, shape (n, names)."""
        each = [
            (pooled[name] == value).cast(pl.Float64).to_numpy()
            for name, values in self.told.items()
            for value in values[1:]
        ]
        return np.column_stack(each) if each else np.empty((len(pooled), 0))


def levels_of(people: pl.DataFrame, names: Sequence[str]) -> Levels:
    """Of customers with their first values. Raises UsageError where they all have the same."""
    return Levels({name: _levels(people[name], name) for name in names})


def _levels(values: pl.Series, name: str) -> tuple[str, ...]:
    counts = values.alias("value").value_counts().sort(["count", "value"], descending=[True, False])
    asked = name.removeprefix("first_")
    if counts["value"].to_list() == [NONE]:
        raise UsageError(f"--by {asked}: no first purchase has it; name a column or property")
    some = counts.filter(pl.col("count") >= LEAST_CUSTOMERS)["value"].to_list()[:MOST]
    rest = len(values) - int(counts.filter(pl.col("value").is_in(some))["count"].sum())
    if OTHERS not in some and rest >= LEAST_CUSTOMERS:
        some.append(OTHERS)
    if len(some) <= 1:
        raise UsageError(
            f"--by {asked}: no two values have {LEAST_CUSTOMERS} customers "
            f"each (found {counted(len(counts), 'values')} among {len(values):,} customers); name "
            "another column or property"
        )
    return tuple(some)
