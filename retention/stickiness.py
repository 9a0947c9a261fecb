"""Stickiness: daily, weekly and monthly active users, and what share of them comes each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from events.calendar import first_day, period_at
from events.passes import summed
from events.store import EventStore
from retention.instants import shown_periods
from retention.lifecycle import active_periods, all_periods
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings

WEEK_DAYS = 7
MONTH_DAYS = 30
_WINDOWS = {"dau": 1, "wau": WEEK_DAYS, "mau": MONTH_DAYS}


@dataclass(frozen=True)
class Stickiness:
    """`days`: one row per calendar day.

    Columns: day, dau, wau, mau (distinct users active in the 1, 7 and 30 days that end with
    the day), dau_wau, dau_mau, complete. A window that begins before the log does is null; on
    a day that has not ended, `complete` is false and the ratios are null.
    """

    timezone: str
    as_of: datetime
    covered_until: datetime
    days: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        return {
            "timezone": self.timezone,
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "rows": self.days.with_columns(pl.col("day").cast(pl.String)).to_dicts(),
        }


def stickiness(
    settings: Settings,
    store: EventStore,
    device: Device,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Stickiness:
    """DAU, WAU and MAU of every day that `[since, until)` touches, exact, by what `[activity]`
    calls active; windows reach back before `since`. Raises UsageError."""
    zone = settings.project.timezone
    shown = shown_periods(store, "day", zone, since, until)
    changes = summed(
        lambda events, bucket: changes_plan(events, settings, in_order=store.in_order(bucket)),
        store,
        device,
        by=("number",),
        label="stickiness",
        with_bucket=True,
        cluster=cluster,
    )
    table = _days(changes, zone, store, shown)
    return Stickiness(zone, store.as_of, store.covered_until, table)


def changes_plan(
    events: pl.LazyFrame, settings: Settings, *, in_order: bool = False
) -> pl.LazyFrame:
    """By how much each window's distinct users change on each day, one bucket: number, dau,
    wau, mau.

    A user active on day d is in a window of w days from d on until d + w, or until the next
    active day, from which the next count begins: that way nobody is counted twice.
    """
    days = active_periods(events, settings, "day", in_order=in_order)
    same = pl.col("user") == pl.col("user").shift(-1)
    following = days.with_columns(next=pl.when(same).then(pl.col("number").shift(-1)))
    one, none = pl.lit(1, pl.Int64), pl.lit(0, pl.Int64)
    parts = [following.select("number", **dict.fromkeys(_WINDOWS, one))]
    for name, length in _WINDOWS.items():
        over = pl.col("number") + length
        leaves = pl.when(pl.col("next") < over).then(pl.col("next")).otherwise(over)
        change = {other: -one if other == name else none for other in _WINDOWS}
        parts.append(following.select(number=leaves, **change))
    return pl.concat(parts).group_by("number").agg(pl.col(list(_WINDOWS)).sum())


def _days(
    changes: pl.DataFrame, zone: str, store: EventStore, shown: tuple[int, int]
) -> pl.DataFrame:
    first = period_at(store.first, "day", zone)
    now = period_at(store.covered_until, "day", zone)
    table = all_periods(first, store, "day", zone).join(
        changes, on="number", how="left", maintain_order="left"
    )
    table = table.with_columns(
        pl.when(pl.col("number") - first >= length - 1).then(pl.col(name).fill_null(0).cum_sum())
        for name, length in _WINDOWS.items()
    ).with_columns(complete=pl.col("number") < now)
    table = table.filter(pl.col("number").is_between(*shown))
    share = pl.when(pl.col("complete")).then(pl.col("dau"))
    return table.select(
        "dau",
        "wau",
        "mau",
        day=pl.Series([first_day(n, "day") for n in table["number"]], dtype=pl.Date),
        dau_wau=pl.when(pl.col("wau") > 0).then(share / pl.col("wau")),
        dau_mau=pl.when(pl.col("mau") > 0).then(share / pl.col("mau")),
        complete="complete",
    ).select("day", "dau", "wau", "mau", "dau_wau", "dau_mau", "complete")
