"""Volume by day and event: counted in one pass, then laid out as a grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from events.calendar import begins, first_day, period_at, period_of
from events.passes import summed
from events.store import EventStore
from runtime.device import Device

Counts = npt.NDArray[np.int64]


MOST_EVENTS = 300  # kinds that are judged one by one: the most frequent


@dataclass(frozen=True)
class Grid:
    """Counts by calendar day and event, shape (days, events); silent days are zero rows.
    `total` counts all events of a day, those beyond MOST_EVENTS too."""

    first: int  # the number of the first day
    events: tuple[str, ...]
    rows: Counts
    nulls: Counts  # rows without an amount
    total: Counts

    def day(self, place: int) -> date:
        return first_day(self.first + place, "day")


def daily_plan(events: pl.LazyFrame, zone: str) -> pl.LazyFrame:
    """Counts of one bucket: number (of the day), event, rows, users, nulls (no amount)."""
    marked = events.select(
        "user_id",
        "event",
        number=period_of(pl.col("ts"), "day", zone),
        empty=pl.col("amount").is_null().cast(pl.Int64),
    )
    return marked.group_by("number", "event").agg(
        rows=pl.len().cast(pl.Int64),
        users=pl.col("user_id").n_unique().cast(pl.Int64),
        nulls=pl.col("empty").sum(),
    )


def count_daily(store: EventStore, zone: str, device: Device) -> pl.DataFrame:
    """Rows, distinct users and rows without an amount by day and event, sorted."""
    return summed(
        lambda events: daily_plan(events, zone),
        store,
        device,
        by=("number", "event"),
        label="quality",
    )


def whole_days(days: tuple[int, int], store: EventStore, zone: str) -> tuple[int, int]:
    """`days` (the first, and the one after the last) without a first day that the log enters
    midway and a last day that has not ended."""
    entered = period_at(store.first, "day", zone)
    if begins(entered, "day", zone) < store.first:
        entered += 1
    first = max(days[0], entered)
    return first, max(min(days[1], period_at(store.covered_until, "day", zone)), first)


def totals(counts: pl.DataFrame, days: tuple[int, int]) -> Counts:
    """Rows of all events by day, shape (days,)."""
    whole = counts.filter(pl.col("number").is_between(*days, closed="left"))
    found = np.zeros(days[1] - days[0], dtype=np.int64)
    np.add.at(found, whole["number"].to_numpy() - days[0], whole["rows"].to_numpy())
    return found


def grid_of(counts: pl.DataFrame, days: tuple[int, int]) -> Grid:
    whole = counts.filter(pl.col("number").is_between(*days, closed="left"))
    most = whole.group_by("event").agg(pl.col("rows").sum())
    most = most.sort("rows", "event", descending=[True, False]).head(MOST_EVENTS)
    places = most.select(pl.col("event").sort()).with_row_index("place")
    names = tuple(places["event"].to_list())
    kept = whole.join(places, on="event")
    at = (kept["number"].to_numpy() - days[0], kept["place"].to_numpy())
    rows = np.zeros((days[1] - days[0], len(names)), dtype=np.int64)
    nulls = np.zeros_like(rows)
    rows[at] = kept["rows"].to_numpy()
    nulls[at] = kept["nulls"].to_numpy()
    return Grid(days[0], names, rows, nulls, totals(counts, days))
