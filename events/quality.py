"""Tracking quality: volume by day and event, what deviates, and what was quarantined."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from events.amounts import amount_findings
from events.baseline import volume_findings
from events.calendar import first_day
from events.contract import QUARANTINE
from events.daily import count_daily, grid_of, whole_days
from events.findings import Finding, Severity, ranked
from events.ingest import quarantine_path
from events.presence import comings_and_goings
from events.store import EventStore
from events.strays import without_strays
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings
from runtime.tables import exists, open_table

CPU = Device("cpu", "a look at the store")
MANY_REFUSED = 0.01  # of a source's rows
SOME_REFUSED = 0.001
MOST_REASONS = 100


@dataclass(frozen=True)
class Quality:
    """`findings`, the worst first. `daily`: day, event, rows, users, null_share (of amounts).
    `events`: event, rows, days, first_day, last_day, null_share. `quarantine`: source, reason,
    rows, files; of all that was ever ingested, whatever the as-of."""

    as_of: datetime
    covered_until: datetime
    timezone: str
    findings: tuple[Finding, ...]
    daily: pl.DataFrame
    events: pl.DataFrame
    quarantine: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        """`daily` is laid out by column: it is long."""
        return {
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "timezone": self.timezone,
            "findings": [finding.to_json() for finding in self.findings],
            "events": _dates_as_text(self.events).to_dicts(),
            "quarantine": self.quarantine.to_dicts(),
            "daily": _dates_as_text(self.daily).to_dict(as_series=False),
        }


def quality(settings: Settings, store: EventStore, device: Device = CPU) -> Quality:
    """Counts by calendar day of the project's time zone, exact, in one pass; a day that the
    log covers in part is shown and not judged."""
    zone = settings.project.timezone
    counts = count_daily(store, zone, device)
    body_days, findings = without_strays(counts)
    body = grid_of(counts, whole_days(body_days, store, zone))
    present, alive = comings_and_goings(body)
    findings += present + volume_findings(body, alive) + amount_findings(body)
    refused = _quarantine(quarantine_path(settings))
    findings += _refusals(refused, store)
    return Quality(
        as_of=store.as_of,
        covered_until=store.covered_until,
        timezone=zone,
        findings=ranked(findings),
        daily=_daily(counts),
        events=_by_event(counts),
        quarantine=refused,
    )


def _daily(counts: pl.DataFrame) -> pl.DataFrame:
    days = pl.Series([first_day(n, "day") for n in counts["number"]], dtype=pl.Date)
    share = pl.col("nulls") / pl.col("rows")
    return counts.select("event", "rows", "users", day=days, null_share=share).select(
        "day", "event", "rows", "users", "null_share"
    )


def _by_event(counts: pl.DataFrame) -> pl.DataFrame:
    epoch = pl.col("number").cast(pl.Date)
    summary = counts.group_by("event").agg(
        pl.col("rows").sum(),
        days=pl.len().cast(pl.Int64),
        first_day=epoch.min(),
        last_day=epoch.max(),
        null_share=pl.col("nulls").sum() / pl.col("rows").sum(),
    )
    return summary.sort("rows", "event", descending=[True, False])


def _quarantine(path: Path) -> pl.DataFrame:
    plan = pl.LazyFrame(schema=dict(QUARANTINE.schema))
    if exists(path):
        plan = open_table(path, QUARANTINE).scan()
    grouped = plan.group_by("source", "reason").agg(
        rows=pl.len().cast(pl.Int64), files=pl.col("file").n_unique().cast(pl.Int64)
    )
    table = collect(grouped, CPU).sort("rows", "source", "reason", descending=[True, False, False])
    return table.head(MOST_REASONS)


def _refusals(refused: pl.DataFrame, store: EventStore) -> list[Finding]:
    if refused.is_empty():
        return []
    plan = store.scan_all().group_by("source").agg(kept=pl.len().cast(pl.Int64))
    kept = dict(collect(plan, CPU).iter_rows())
    findings = []
    for row in refused.to_dicts():
        share = row["rows"] / (row["rows"] + kept.get(row["source"], 0))
        findings.append(
            Finding(
                severity=_severity(share),
                kind="refused",
                event=None,
                first_day=None,
                last_day=None,
                found=row["rows"],
                expected=None,
                message=f"source '{row['source']}': {share:.2%} of its rows are in quarantine "
                f"({row['rows']:,}): {row['reason']}",
            )
        )
    return findings


def _severity(share: float) -> Severity:
    if share >= MANY_REFUSED:
        return "error"
    return "warning" if share >= SOME_REFUSED else "info"


def _dates_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.selectors.date().cast(pl.String))
