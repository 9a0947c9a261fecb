"""How the log has come together, file by file: what came afterwards, and what came twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from events.erased import read_erased
from events.findings import Finding
from events.ingest import file_key
from events.ledger import Held, read_contents
from events.store import CPU, EventStore, events_path
from runtime.clock import DAY
from runtime.collect import collect
from runtime.counted import counted
from runtime.settings import Settings
from runtime.tables import committed

RESENT = 0.5  # of a source's rows: whole files that were sent again are no fault of the tracking


@dataclass(frozen=True)
class File:
    """A file of a source whose rows are in the store; `again`: an earlier version of one."""

    source: str
    path: str
    rows: int
    first: datetime
    last: datetime
    run: int
    again: bool


def ingested_files(settings: Settings) -> tuple[File, ...]:
    """By source and path, from the ledger; empty where an older Holdfast has ingested."""
    found: list[File] = []
    for source, held in read_contents(settings.store).items():
        keys = {file_key(source, digest): one for digest, one in held.items()}
        known = committed(events_path(settings), keys)
        kept = sorted((one for key, one in keys.items() if key in known), key=lambda h: h.run)
        newest = {one.path: one for one in kept}
        found += [_file(source, one, again=newest[one.path] is not one) for one in kept]
    return tuple(sorted(found, key=lambda file: (file.source, file.path, file.run)))


def _file(source: str, held: Held, *, again: bool) -> File:
    first, last = (datetime.fromisoformat(text).astimezone(UTC) for text in (held.first, held.last))
    return File(source, held.path, held.rows, first, last, held.run, again)


def late_files(files: Sequence[File], store: EventStore, zone: str) -> list[Finding]:
    """Files whose days lie a day and more within those of another file of their source: what
    another one had left out, and was sent afterwards; nothing is said of what ends after the
    as-of. A file that came in a later ingest is late for certain."""
    findings = []
    for source in sorted({file.source for file in files}):
        mine = [f for f in files if f.source == source and not f.again and f.first < store.as_of]
        late = [f for f in mine if f.last < store.as_of and any(_within(f, o) for o in mine)]
        findings += [_late(file, mine, zone) for file in late]
    return _by_days(findings)


def _within(file: File, other: File) -> bool:
    longer = other.last - other.first > 2 * (file.last - file.first)
    inside = other.first + DAY <= file.first and file.last + DAY <= other.last
    return inside and longer and other.run <= file.run


def _late(file: File, mine: Sequence[File], zone: str) -> Finding:
    days = [at.astimezone(ZoneInfo(zone)).date() for at in (file.first, file.last)]
    later = any(_within(file, other) and other.run < file.run for other in mine)
    how = "in a later ingest" if later else "in a file of their own"
    return Finding(
        severity="warning" if later else "info",
        kind="late",
        event=None,
        channel=file.source,
        first_day=days[0],
        last_day=days[1],
        found=float(file.rows),
        expected=0,
        message=f"{counted(file.rows, 'rows')} of source '{file.source}' from {days[0]} to "
        f"{days[1]} came {how} ({file.path}), within days that another file had covered: late, or "
        "left out before",
    )


def _by_days(findings: list[Finding]) -> list[Finding]:
    """Files of one source and days, such as the parts of one export, are told once."""
    found: dict[tuple[str | None, date | None], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.channel, one.first_day), []).append(one)
    return [_most(same) for same in found.values()]


def _most(same: list[Finding]) -> Finding:
    return max(same, key=lambda f: (f.last_day or date.min, f.found))


def duplicate_findings(
    settings: Settings, files: Sequence[File], store: EventStore, least: float
) -> list[Finding]:
    """Rows that came more than once in the sources and are in the store once, of all that was
    ever ingested, whatever the as-of; an older version of a file that has grown counts as none.
    Nothing is said where users were erased: how many of the rows were theirs is not known."""
    if not files or read_erased(settings.store).sieve_of:
        return []
    plan = store.table.scan().group_by("source").agg(kept=pl.len().cast(pl.Int64))
    kept = dict(collect(plan, CPU).iter_rows())
    findings = []
    for source in sorted({file.source for file in files}):
        usable = sum(f.rows for f in files if f.source == source and not f.again)
        twice = usable - kept.get(source, 0)
        if least * usable <= twice < RESENT * usable:
            findings.append(_duplicates(source, twice, usable))
    return findings


def _duplicates(source: str, twice: int, usable: int) -> Finding:
    return Finding(
        severity="info",
        kind="duplicates",
        event=None,
        channel=source,
        first_day=None,
        last_day=None,
        found=round(twice / usable, 4),
        expected=0,
        message=f"{counted(twice, 'rows')} of source '{source}' ({twice / usable:.1%}) had come "
        "before; each is kept once",
    )
