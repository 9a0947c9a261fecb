"""Retention: of the users who came in a period, how many were active so much later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from events.calendar import Period
from events.names import event_names, require_events
from events.passes import summed
from events.store import EventStore
from features.time import Cutoff
from retention.anchors import Anchor, users_of
from retention.asking import KEYS, Clock, Did, Measure, Question, as_set, keeping, question_of
from retention.cells import Mode
from retention.cohorts import cohort_plan
from retention.grid import FIGURES, WHO, figures, grid_of, over_cohorts
from retention.pooling import kept_values, most_frequent, name_for, pooled, require_values
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings


@dataclass(frozen=True)
class RetentionTable:
    """`cells`: one row for each cohort, group and cell; `groups`: one for each group and cell
    (none where no groups are asked for); `overall`: one for each cell.

    Columns: cohort (first day, a date; of `cells` alone), kind and group ("value" and its text,
    "missing" and null, "other" and the pooled's name; both null without groups; not of
    `overall`), users, cell, start, end (periods after the anchor, both in it; end null: or later),
    retained, value, share, mean, low, high, complete (of `cells` alone).

    users, payers: `retained` of `users` were active, or paid more than 0, in the cell; share with
    its Wilson interval. revenue: `value` of the cell, `mean` a user, `share` of the first cell's
    value. arpu: `value`, `mean` a user of the cohort with its interval. cumulative: the same from
    the anchor to the end of the cell. Null is what a measure does not tell.

    Where a cell's last period has not ended for all of the cohort, `complete` is false, `retained`
    is the count so far and all else is null. `groups` and `overall` sum the cohorts whose cell is
    complete, so `users` may fall from cell to cell. A rolling share can still rise as users come
    back. Where users are counted several times (anchor "every"), low and high are null.
    `undecided`: users left out because their first days, in which `did` looks, are not over.
    """

    mode: Mode
    period: Period
    cohort: Period
    clock: Clock
    timezone: str
    anchor: str
    measure: Measure
    counted: str
    by: str | None
    did: Did | None
    undecided: int
    as_of: datetime
    covered_until: datetime
    cells: pl.DataFrame
    groups: pl.DataFrame
    overall: pl.DataFrame
    asked: Question = field(repr=False)
    labels: Mapping[tuple[str | None, str | None], str]  # how each kind and group is shown

    def to_json(self) -> dict[str, Any]:
        names = ("mode", "period", "cohort", "clock", "timezone", "anchor", "measure", "counted")
        did = self.did
        asked = self.asked
        return {name: getattr(self, name) for name in names} | {
            "since": None if asked.since is None else show(asked.since),
            "until": None if asked.until is None else show(asked.until),
            "start": None if asked.start is None else list(asked.start),
            "back": None if asked.back is None else list(asked.back),
            "by": self.by,
            "did": None if did is None else dict(vars(did)),
            "undecided": self.undecided,
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "overall": self.overall.to_dicts(),
            "groups": self.groups.to_dicts(),
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
    start: Sequence[str] | None = None,
    back: Sequence[str] | None = None,
    by: str | None = None,
    top: int = 10,
    did: Did | None = None,
    measure: str = "users",
    cluster: Cluster = IN_PROCESS,
) -> RetentionTable:
    """Cohorts by the `cohort` (default `period`) of the anchor in the project's time zone.

    nday: active in period n after the anchor. rolling: in period n or any later one. bracket:
    in any period from a to b. Active is what `[activity]` says, or `back`. `clock`: calendar
    periods, or elapsed ones of 24 hours from the anchor's instant. `anchor`: see
    `retention.anchors.Anchor`; of a Cutoff, on the elapsed clock, one minus the bracket from gap
    to gap + horizon - 1 is the base rate of passive churn. `by`: see
    `events.properties.dimension_of`, of the event that anchors; the `top` values by users, the
    rest pooled. `measure`: see RetentionTable. Exact. Raises UsageError.
    """
    asked = question_of(
        settings,
        store,
        mode=mode,
        period=period,
        periods=periods,
        brackets=brackets,
        cohort=cohort,
        clock=clock,
        anchor=anchor,
        since=since,
        until=until,
        start=start,
        back=back,
        by=by,
        top=top,
        did=did,
        measure=measure,
    )
    return answer(asked, store, device, cluster)


def retention_as_set(
    settings: Settings,
    store: EventStore,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    **given: Any,
) -> RetentionTable:
    """The table that [retention] asks for; what is given (by the names of its keys, None: not
    given) takes the place of what it says. Raises UsageError."""
    return retention(settings, store, device, cluster=cluster, **as_set(settings, given))


def answer(
    asked: Question, store: EventStore, device: Device, cluster: Cluster = IN_PROCESS
) -> RetentionTable:
    """Raises UsageError for an event that the log has not."""
    if any(asked.named_events.values()):
        names = event_names(store, device, cluster)
        for called, wanted in asked.named_events.items():
            require_events(wanted, names, called)
    asked = keeping(asked, kept_values(asked, store, device, cluster))
    counts = summed(
        partial(_bucket_plan, asked, store),
        store,
        device,
        by=(*asked.keys, "cell"),
        latest="latest",
        label="retention",
        with_bucket=True,
        cluster=cluster,
    )
    return _table(counts, asked, store)


def _bucket_plan(
    asked: Question, store: EventStore, events: pl.LazyFrame, bucket: int
) -> pl.LazyFrame:
    users = users_of(asked.settings, store, bucket) if asked.needs_users else None
    return cohort_plan(events, asked, users, store.in_order(bucket))


def _table(counts: pl.DataFrame, asked: Question, store: EventStore) -> RetentionTable:
    counts, asked, undecided = _settled(counts, asked)
    values = asked.kept or ()
    require_values(values, asked, store)
    other = name_for("other", values)
    grid = grid_of(counts, asked, other)
    cells = figures(grid, asked).with_columns(cohort=pl.col("day"))
    grouped = asked.by is not None or asked.did is not None
    groups = over_cohorts(grid, asked, WHO)
    labels = {
        (kind, group): name_for("missing", values) if kind == "missing" else group or ""
        for kind, group in groups.select(*WHO).unique(maintain_order=True).iter_rows()
    }
    return RetentionTable(
        mode=asked.mode,
        period=asked.period,
        cohort=asked.cohort,
        clock=asked.clock,
        timezone=asked.zone,
        anchor=show(asked.anchor.at) if isinstance(asked.anchor, Cutoff) else asked.anchor,
        measure=asked.measure,
        counted=asked.counted,
        by=None if asked.by is None else asked.by.name,
        did=asked.did,
        undecided=undecided,
        as_of=store.as_of,
        covered_until=store.covered_until,
        cells=cells.select("cohort", *WHO, *FIGURES, "complete"),
        groups=groups if grouped else groups.clear(),
        overall=over_cohorts(grid, asked, ()),
        asked=asked,
        labels=labels if grouped else {},
    )


def _settled(counts: pl.DataFrame, asked: Question) -> tuple[pl.DataFrame, Question, int]:
    """The counts with group and pooled, the question with the values that are told apart, and
    how many are undecided, whose counts are left out."""
    if asked.did is not None:
        unknown = pl.col("group").is_null()
        undecided = int(counts.filter(unknown & (pl.col("cell") < 0))["users"].sum())
        return counts.filter(~unknown), asked, undecided
    if asked.by is None:
        none = {"group": pl.lit(None, pl.String), "pooled": pl.lit(value=False)}
        return counts.with_columns(**none), asked, 0
    kept = asked.kept
    if kept is None:
        kept = most_frequent(counts.filter(pl.col("cell") < 0), asked.top)
    return pooled(counts, kept, (*KEYS, "cell")), keeping(asked, kept), 0
