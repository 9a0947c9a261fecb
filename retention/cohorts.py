"""The plan behind a retention table: distinct users by cohort and cell, for one bucket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from events.activity import is_active
from events.calendar import Period, period_of
from features.definitions import Definitions
from retention.anchors import Anchor, anchored
from retention.cells import Cell, Mode, cell_of
from runtime.settings import Settings

Clock = Literal["calendar", "elapsed"]
# On the elapsed clock a week is 7 times and a month 30 times 24 hours from the anchor.
ELAPSED_DAYS: dict[Period, int] = {"day": 1, "week": 7, "month": 30}
SIZE = -1  # the cell that counts a cohort's users
_MICROSECONDS_A_DAY = 86_400_000_000
_COLUMNS = ("user_id", "cohort", "anchor", "cell")


@dataclass(frozen=True)
class Question:
    """What a retention table is asked for, checked."""

    settings: Settings
    mode: Mode
    period: Period
    cohort: Period
    clock: Clock
    cells: tuple[Cell, ...]
    anchor: Anchor
    since: datetime | None
    until: datetime | None
    users: pl.LazyFrame | None

    @property
    def zone(self) -> str:
        return self.settings.project.timezone


def cohort_plan(events: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    """Counts of one bucket: cohort, cell, users, latest (the last anchor among them).

    Cell -1 counts the cohort's users, the others those active in the cell; in a rolling table
    the cell is the last period in which the user was active.
    """
    anchors = anchored(
        events,
        asked.anchor,
        asked.since,
        asked.until,
        Definitions.of(asked.settings),
        asked.users,
    ).with_columns(
        cohort=period_of(pl.col("anchor"), asked.cohort, asked.zone),
        own=period_of(pl.col("anchor"), asked.period, asked.zone),
    )
    offset = _offset(asked)
    active = (
        events.filter(is_active(asked.settings.activity))
        .select("user_id", "ts")
        .join(anchors, on="user_id")
        .filter(pl.col("ts") >= pl.col("anchor"))
    )
    if asked.mode == "rolling":
        seen = active.group_by("user_id", "cohort", "anchor").agg(cell=offset.max())
        seen = seen.with_columns(pl.col("cell").clip(upper_bound=len(asked.cells) - 1))
    else:
        seen = active.select("user_id", "cohort", "anchor", cell=cell_of(offset, asked.cells))
        seen = seen.filter(pl.col("cell").is_not_null()).unique(["user_id", "cell"])
    sizes = anchors.with_columns(cell=pl.lit(SIZE, pl.Int32))
    rows = pl.concat([sizes.select(_COLUMNS), seen.select(_COLUMNS)])
    return rows.group_by("cohort", "cell").agg(
        users=pl.len().cast(pl.Int64), latest=pl.col("anchor").max()
    )


def _offset(asked: Question) -> pl.Expr:
    if asked.clock == "calendar":
        here = period_of(pl.col("ts"), asked.period, asked.zone)
        return (here - pl.col("own")).cast(pl.Int32)
    length = ELAPSED_DAYS[asked.period] * _MICROSECONDS_A_DAY
    since = pl.col("ts").cast(pl.Int64) - pl.col("anchor").cast(pl.Int64)
    return (since // length).cast(pl.Int32)
