"""What ingest has put into quarantine, by source and reason."""

from __future__ import annotations

import polars as pl

from events.contract import QUARANTINE
from events.findings import Finding, Severity
from events.ingest import quarantine_path
from events.store import CPU, EventStore
from runtime.collect import collect
from runtime.settings import Settings
from runtime.tables import exists, open_table

SOME_REFUSED = 0.1  # of the share that is an error: a warning
MOST_REASONS = 100


def quarantined(settings: Settings) -> pl.DataFrame:
    """source, reason, rows, files; the most frequent first."""
    path = quarantine_path(settings)
    plan = pl.LazyFrame(schema=dict(QUARANTINE.schema))
    if exists(path):
        plan = open_table(path, QUARANTINE).scan()
    grouped = plan.group_by("source", "reason").agg(
        rows=pl.len().cast(pl.Int64), files=pl.col("file").n_unique().cast(pl.Int64)
    )
    table = collect(grouped, CPU).sort("rows", "source", "reason", descending=[True, False, False])
    return table.head(MOST_REASONS)


def refusals(refused: pl.DataFrame, store: EventStore, many: float) -> list[Finding]:
    """One finding a source and reason; an error from the share `many` of the source's rows on."""
    if refused.is_empty():
        return []
    plan = store.table.scan().group_by("source").agg(kept=pl.len().cast(pl.Int64))
    kept = dict(collect(plan, CPU).iter_rows())
    findings = []
    for row in refused.to_dicts():
        share = row["rows"] / (row["rows"] + kept.get(row["source"], 0))
        findings.append(
            Finding(
                severity=_severity(share, many),
                kind="refused",
                event=None,
                channel=row["source"],
                first_day=None,
                last_day=None,
                found=row["rows"],
                expected=None,
                message=f"source '{row['source']}': {share:.2%} of its rows are in quarantine "
                f"({row['rows']:,}): {row['reason']}",
            )
        )
    return findings


def _severity(share: float, many: float) -> Severity:
    if share >= many:
        return "error"
    return "warning" if share >= SOME_REFUSED * many else "info"
