"""Which values of a property or attribute are told apart, and what the rest is called."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

import polars as pl

from events.passes import summed
from events.properties import COLUMNS
from events.store import EventStore
from retention.anchors import users_of
from retention.asking import Question
from retention.groups import with_group
from retention.numbered import numbered
from retention.starts import starts_of
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import UsageError

CPU = Device("cpu", "a look at the properties")
LOOKED_AT = 1000
MANY = 1000  # values in one bucket; beyond it the most frequent are found by a pass of their own


def kept_values(
    asked: Question, store: EventStore, device: Device, cluster: Cluster = IN_PROCESS
) -> tuple[str, ...] | None:
    """The `top` values by users where there are many; None where there are so few that all can
    be counted and the rest be pooled afterwards, which `pooled` does. Memory of the pass: a name
    and a number for each value."""
    if asked.by is None or not store.buckets:
        return None
    first = store.buckets[0]
    users = users_of(asked.settings, store, first) if asked.needs_users else None
    look = values_plan(store.scan(first), asked, users, store.in_order(first))
    if collect(look, device).height <= MANY:
        return None

    def plan(events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
        held = users_of(asked.settings, store, bucket) if asked.needs_users else None
        return values_plan(events, asked, held, store.in_order(bucket))

    found = summed(
        plan, store, device, by=("group",), label="values", with_bucket=True, cluster=cluster
    )
    return most_frequent(found, asked.top)


def values_plan(
    events: pl.LazyFrame, asked: Question, users: pl.LazyFrame | None, lies_in_order: bool
) -> pl.LazyFrame:
    """Counts of one bucket: group, users."""
    rows = numbered(events, asked, lies_in_order)
    starts = with_group(starts_of(events, rows, asked, users), rows, asked, users)
    return starts.group_by("group").agg(users=pl.len().cast(pl.Int64))


def most_frequent(counts: pl.DataFrame, top: int) -> tuple[str, ...]:
    """The `top` groups by users, ties by name; of null is no word."""
    sums = counts.filter(pl.col("group").is_not_null()).group_by("group").agg(pl.col("users").sum())
    ranked = sums.sort(["users", "group"], descending=[True, False])
    return tuple(ranked["group"].head(top).to_list())


def pooled(counts: pl.DataFrame, kept: Sequence[str], by: Sequence[str]) -> pl.DataFrame:
    """The counts with all but the kept groups summed as one. `by`: cohort, group, pooled, cell."""
    is_kept = pl.col("group").is_in(list(kept)) | pl.col("group").is_null()
    marked = counts.with_columns(
        group=pl.when(is_kept).then(pl.col("group")), pooled=pl.col("pooled") | ~is_kept
    )
    sums = [pl.col(n).sum() for n in counts.columns if n not in (*by, "latest")]
    return marked.group_by(*by).agg(*sums, pl.col("latest").max())


def require_values(kept: Sequence[str], asked: Question, store: EventStore) -> None:
    """Raises UsageError for a property that no event that anchors has: it is a slip of the pen."""
    by = asked.by
    if kept or by is None or by.kind != "property":
        return
    users = asked.settings.users
    attributes = () if users is None else users.attributes
    known = [*COLUMNS, *attributes, *_properties(store)]
    if by.name in known:
        raise UsageError(
            f"by '{by.name}': no event that users start with has it; name one that has with --start"
        )
    near = difflib.get_close_matches(by.name, known, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(known)}"
    raise UsageError(f"by '{by.name}': no such column, attribute or property; {hint}")


def _properties(store: EventStore) -> list[str]:
    """The names of properties in the first rows that have any."""
    told = store.scan(store.buckets[0]).filter(pl.col("properties").is_not_null())
    rows = collect(told.select("properties").head(LOOKED_AT), CPU)["properties"]
    return sorted({name for row in rows for name in json.loads(row)})


def name_for(called: str, values: Sequence[str]) -> str:
    """The word in brackets, as many as it takes to be no one of the values."""
    name = f"({called})"
    while name in values:
        name = f"({name})"
    return name
