"""Retention: of the users who came in a period, how many were active so much later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from events.calendar import Period, first_day, known_period, period_at
from events.passes import summed
from events.store import EventStore
from features.time import Cutoff
from retention.anchors import Anchor, check_anchor, users_for
from retention.cells import Cell, Mode, cells_of
from retention.cohorts import ELAPSED_DAYS, SIZE, Clock, Question, cohort_plan
from retention.shares import with_share
from runtime.clock import show
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings


@dataclass(frozen=True)
class RetentionTable:
    """`cells`: one row per cohort and cell; `overall`: one row per cell, over the cohorts whose
    cell is complete.

    Columns: cohort (first day, a date), users, cell, start, end (periods after the anchor, both
    in it; end null: or later), retained, share, low, high, complete. Where a cell's last period
    has not ended for all of the cohort, `complete` is false, `retained` is the count so far and
    the share is null. A rolling share can still rise as users come back.
    """

    mode: Mode
    period: Period
    cohort: Period
    clock: Clock
    timezone: str
    anchor: str
    as_of: datetime
    covered_until: datetime
    cells: pl.DataFrame
    overall: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        head = {name: getattr(self, name) for name in ("mode", "period", "cohort", "clock")}
        return head | {
            "timezone": self.timezone,
            "anchor": self.anchor,
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "overall": self.overall.to_dicts(),
            "rows": self.cells.with_columns(pl.col("cohort").cast(pl.String)).to_dicts(),
        }


def retention(
    settings: Settings,
    store: EventStore,
    device: Device,
    mode: str = "bracket",
    period: str = "day",
    periods: int | None = None,
    *,
    brackets: Sequence[tuple[int, int]] | None = None,
    cohort: str | None = None,
    clock: str = "calendar",
    anchor: Anchor = "first",
    since: datetime | None = None,
    until: datetime | None = None,
) -> RetentionTable:
    """Cohorts by the `cohort` (default `period`) of the anchor in the project's time zone.

    nday: active in period n after the anchor. rolling: in period n or any later one. bracket:
    in any period from a to b. Active is what `[activity]` says. `clock`: calendar periods, or
    elapsed ones of 24 hours from the anchor's instant. `anchor`: "first" event ever,
    "first_in_range" (at or after `since`), or a Cutoff for everyone eligible at it: on the
    elapsed clock one minus the bracket from gap to gap + horizon - 1 is then the base rate of
    passive churn. Exact. Raises UsageError.
    """
    if clock not in ("calendar", "elapsed"):
        raise UsageError(f"clock '{clock}' is not known; choose 'calendar' or 'elapsed'")
    check_anchor(anchor, since, until, store)
    known = known_period(period)
    question = Question(
        settings=settings,
        mode=mode,  # type: ignore[arg-type]  # checked by cells_of
        period=known,
        cohort=known if cohort is None else known_period(cohort),
        clock=clock,  # type: ignore[arg-type]  # checked above
        cells=cells_of(mode, known, periods, brackets),
        anchor=anchor,
        since=since,
        until=until,
        users=users_for(anchor, settings),
    )
    counts = summed(
        lambda events: cohort_plan(events, question),
        store,
        device,
        by=("cohort", "cell"),
        latest="latest",
        label="retention",
    )
    return _table(counts, question, store)


def _table(counts: pl.DataFrame, asked: Question, store: EventStore) -> RetentionTable:
    grid = _grid(counts, asked, store)
    done = grid.filter(pl.col("complete")).group_by("place").agg(pl.col("users", "retained").sum())
    overall = _columns(asked.cells).join(done, on="place", how="left", maintain_order="left")
    overall = overall.with_columns(pl.col("users", "retained").fill_null(0))
    overall = with_share(overall, "retained", "users", pl.lit(value=True))
    order = ("users", "cell", "start", "end", "retained", "share", "low", "high")
    cells = with_share(grid, "retained", "users", pl.col("complete"))
    return RetentionTable(
        mode=asked.mode,
        period=asked.period,
        cohort=asked.cohort,
        clock=asked.clock,
        timezone=asked.zone,
        anchor=show(asked.anchor.at) if isinstance(asked.anchor, Cutoff) else asked.anchor,
        as_of=store.as_of,
        covered_until=store.covered_until,
        cells=cells.select("cohort", *order, "complete"),
        overall=overall.select(order),
    )


def _grid(counts: pl.DataFrame, asked: Question, store: EventStore) -> pl.DataFrame:
    """Every cohort with every cell: counts, and whether the cell's periods have ended."""
    sizes = counts.filter(pl.col("cell") == SIZE).drop("cell")
    ended = [_ended(latest, asked, store.covered_until) for latest in sizes["latest"]]
    cohorts = sizes.drop("latest").with_columns(
        ended=pl.Series(ended, dtype=pl.Int32),
        day=pl.Series([first_day(n, asked.cohort) for n in sizes["cohort"]], dtype=pl.Date),
    )
    seen = counts.select("cohort", pl.col("cell").alias("place"), retained=pl.col("users"))
    grid = cohorts.join(_columns(asked.cells), how="cross").join(
        seen, on=["cohort", "place"], how="left"
    )
    grid = grid.sort("cohort", "place").with_columns(pl.col("retained").fill_null(0))
    if asked.mode == "rolling":
        later = pl.col("retained").cum_sum(reverse=True).over("cohort")
        grid = grid.with_columns(retained=later)
    return grid.with_columns(cohort=pl.col("day"), complete=pl.col("decided_by") < pl.col("ended"))


def _columns(cells: tuple[Cell, ...]) -> pl.DataFrame:
    rows = [
        {"place": n, "cell": c.name, "start": c.start, "end": c.end, "decided_by": c.decided_by}
        for n, c in enumerate(cells)
    ]
    integers = dict.fromkeys(("place", "start", "end", "decided_by"), pl.Int32)
    return pl.DataFrame(rows, schema_overrides=integers)


def _ended(latest: datetime, asked: Question, until: datetime) -> int:
    """How many whole periods from the anchor on have ended for the cohort's last user."""
    if asked.clock == "calendar":
        now = period_at(until, asked.period, asked.zone)
        return now - period_at(latest, asked.period, asked.zone)
    return (until - latest) // timedelta(days=ELAPSED_DAYS[asked.period])
