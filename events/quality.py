"""Tracking quality: what is counted by day, event and channel, what deviates, and what was
quarantined."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from events.arrivals import duplicate_findings, ingested_files, late_files
from events.baseline import Rule
from events.calendar import first_day
from events.daily import CELL, EVENT, count_daily, whole_days
from events.findings import Finding, not_ignored, ranked
from events.grid import grid_of, hours_of
from events.identity import user_findings
from events.look import asked_of
from events.numbers import gap_findings
from events.presence import comings_and_goings
from events.refused import quarantined, refusals
from events.rhythm import clock_findings
from events.store import CPU, EventStore
from events.strays import without_strays
from events.volume import volume_findings
from events.watched import share_findings
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings


@dataclass(frozen=True)
class Quality:
    """`findings`, the worst first. `daily`: day, event, rows, users, null_share (of amounts).
    `channels`: the same by channel too, and repeats, late and ahead (rows); empty where the log
    has one channel. `properties`: event, channel, property, rows, there_share, number_share (of
    those there). `events`: event, rows, days, first_day, last_day, null_share. `quarantine`:
    source, reason (of a kind), example, rows, files; of all that was ever ingested, whatever the
    as-of."""

    as_of: datetime
    covered_until: datetime
    timezone: str
    findings: tuple[Finding, ...]
    daily: pl.DataFrame
    channels: pl.DataFrame
    properties: pl.DataFrame
    events: pl.DataFrame
    quarantine: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        """`daily` and `channels` are laid out by column: they are long."""
        return {
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "timezone": self.timezone,
            "findings": [finding.to_json() for finding in self.findings],
            "events": _dates_as_text(self.events).to_dicts(),
            "properties": self.properties.to_dicts(),
            "quarantine": self.quarantine.to_dicts(),
            "daily": _dates_as_text(self.daily).to_dict(as_series=False),
            "channels": _dates_as_text(self.channels).to_dict(as_series=False),
        }


def quality(
    settings: Settings, store: EventStore, device: Device = CPU, cluster: Cluster = IN_PROCESS
) -> Quality:
    """Counts by calendar day of the project's time zone, exact, in one pass; a day that the
    log covers in part is shown and not judged."""
    counts = count_daily(store, asked_of(settings, store, device, cluster=cluster), device, cluster)
    refused = quarantined(settings)
    found = tracking_findings(counts, settings, store)
    found += refusals(refused, store, settings.quality.refused_share)
    files = ingested_files(settings)
    found += late_files(files, store, settings.project.timezone)
    found += duplicate_findings(settings, files, store, settings.quality.duplicate_share)
    found += gap_findings(settings, store, cluster)
    found += user_findings(store, cluster)
    cells = counts.filter(pl.col("part") == CELL)
    return Quality(
        as_of=store.as_of,
        covered_until=store.covered_until,
        timezone=settings.project.timezone,
        findings=ranked(not_ignored(found, settings.quality.ignore)),
        daily=_daily(counts),
        channels=_channels(cells),
        properties=_properties(cells),
        events=_by_event(cells),
        quarantine=refused,
    )


def tracking_findings(counts: pl.DataFrame, settings: Settings, store: EventStore) -> list[Finding]:
    """What the counts by day tell; of `events.daily`, perhaps of the newest days only."""
    rule = settings.quality
    body_days, findings = without_strays(counts.filter(pl.col("part") == CELL))
    days = whole_days(body_days, store, settings.project.timezone)
    grid = grid_of(counts, days, settings.features.holidays)
    present, alive = comings_and_goings(grid)
    findings += present
    findings += volume_findings(grid, alive, Rule(rule.scales, rule.least_drop, rule.least_spike))
    findings += share_findings(grid, rule)
    if not store.date_only:
        findings += clock_findings(grid, hours_of(counts, grid))
    return findings


def _daily(counts: pl.DataFrame) -> pl.DataFrame:
    """Rows of all channels of an event; its users are counted as a whole."""
    by = ["number", "event"]
    rows = counts.filter(pl.col("part") == CELL).group_by(by).agg(pl.col("rows", "nulls").sum())
    users = counts.filter(pl.col("part") == EVENT).select(*by, "users")
    table = rows.join(users, on=by).sort(by).with_columns(_day(), _null_share())
    return table.select("day", "event", "rows", "users", "null_share")


def _channels(cells: pl.DataFrame) -> pl.DataFrame:
    told = (
        cells.filter(pl.col("channel").is_not_null())
        .group_by("number", "event", "channel")
        .agg(pl.col("rows", "users", "nulls", "repeats", "late", "ahead").sum())
    )
    table = told.sort("number", "event", "channel").with_columns(_day(), _null_share())
    shown = ("rows", "users", "null_share", "repeats", "late", "ahead")
    return table.select("day", "event", "channel", *shown)


def _properties(cells: pl.DataFrame) -> pl.DataFrame:
    names = [n.removeprefix("there:") for n in cells.columns if n.startswith("there:")]
    whole = cells.group_by("event", "channel").agg(
        pl.col("rows", *(f"{m}:{n}" for n in names for m in ("there", "number"))).sum()
    )
    there, number = pl.col("there"), pl.col("number")
    tables = [
        whole.select("event", "channel", "rows", there=f"there:{n}", number=f"number:{n}").select(
            "event",
            "channel",
            pl.lit(n).alias("property"),
            "rows",
            there_share=there / pl.col("rows"),
            number_share=pl.when(there > 0).then(number / there),
        )
        for n in names
    ]
    blank = dict.fromkeys(("event", "channel", "property"), pl.String()) | {"rows": pl.Int64()}
    table = pl.concat([pl.DataFrame(schema=blank), *tables], how="diagonal")
    return (
        table.filter(pl.col("there_share") > 0).sort("event", "channel", "property")
        if tables
        else table
    )


def _by_event(cells: pl.DataFrame) -> pl.DataFrame:
    epoch = pl.col("number").cast(pl.Date)
    summary = cells.group_by("event").agg(
        pl.col("rows").sum(),
        days=pl.col("number").n_unique().cast(pl.Int64),
        first_day=epoch.min(),
        last_day=epoch.max(),
        null_share=pl.col("nulls").sum() / pl.col("rows").sum(),
    )
    return summary.sort("rows", "event", descending=[True, False])


def _day() -> pl.Expr:
    return (
        pl.col("number")
        .map_elements(lambda n: first_day(n, "day"), return_dtype=pl.Date)
        .alias("day")
    )


def _null_share() -> pl.Expr:
    return (pl.col("nulls") / pl.col("rows")).alias("null_share")


def _dates_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.selectors.date().cast(pl.String))
