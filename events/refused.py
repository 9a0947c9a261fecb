"""What ingest has put into quarantine, by source and kind of reason."""

from __future__ import annotations

import polars as pl

from events.contract import QUARANTINE
from events.findings import Finding, Severity
from events.ingest import quarantine_path
from events.reasons import kinds_of
from events.store import CPU, EventStore
from runtime.collect import collect
from runtime.counted import counted
from runtime.settings import Settings
from runtime.tables import exists, open_table

SOME_REFUSED = 0.1  # of the share that is an error: a warning
MOST_TOLD = 3  # kinds of reasons in a finding; the table has all


def quarantined(settings: Settings) -> pl.DataFrame:
    """As `kinds_of`: source, reason, example, rows, files; the most frequent first."""
    path = quarantine_path(settings)
    plan = pl.LazyFrame(schema=dict(QUARANTINE.schema))
    if exists(path):
        plan = open_table(path, QUARANTINE).scan()
    return kinds_of(plan)


def refusals(refused: pl.DataFrame, store: EventStore, many: float) -> list[Finding]:
    """One finding a source, of all its refused rows; an error from the share `many` of its rows
    on."""
    if refused.is_empty():
        return []
    plan = store.table.scan().group_by("source").agg(kept=pl.len().cast(pl.Int64))
    kept = dict(collect(plan, CPU).iter_rows())
    by_source = refused.partition_by("source", maintain_order=True)
    return [_finding(kinds, kept.get(kinds["source"][0], 0), many) for kinds in by_source]


def _finding(kinds: pl.DataFrame, kept: int, many: float) -> Finding:
    source, rows = kinds["source"][0], int(kinds["rows"].sum())
    share = rows / (rows + kept)
    return Finding(
        severity=_severity(share, many),
        kind="refused",
        event=None,
        channel=source,
        first_day=None,
        last_day=None,
        found=rows,
        expected=None,
        message=f"source '{source}': {share:.2%} of its rows are in quarantine ({rows:,}): "
        f"{_told(kinds)}",
    )


def _told(kinds: pl.DataFrame) -> str:
    """The most frequent kinds, each by an example, and how many rows have it."""
    shown = kinds.head(MOST_TOLD).select("rows", "example").iter_rows()
    told = [f"{rows:,} like: {example}" for rows, example in shown]
    if kinds.height > MOST_TOLD:
        told.append(f"and {counted(kinds.height - MOST_TOLD, 'kinds')} more")
    return "; ".join(told)


def _severity(share: float, many: float) -> Severity:
    if share >= many:
        return "error"
    return "warning" if share >= SOME_REFUSED * many else "info"
