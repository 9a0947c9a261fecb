"""What is wrong with the tracking, one finding a thing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from runtime.settings_quality import Kind

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
WORDS: dict[Kind, str] = {
    "missing": "no row on days that usually have some",
    "drop": "far fewer rows than usual",
    "spike": "far more rows than usual",
    "vanished": "an event that has stopped coming",
    "appeared": "an event that has begun to come",
    "amounts": "amounts that usually come are missing",
    "property": "a property that stops, or starts, being there",
    "type": "a property that is number where it was text, or text where it was number",
    "repeats": "rows like another one in all but their id",
    "duplicates": "rows that were sent more than once, and kept once",
    "late": "rows that arrive long after they happened",
    "clock": "clocks that are hours off",
    "ahead": "events that happen after they have arrived",
    "gaps": "numbers of events that never came",
    "stray": "a few rows years away from the rest",
    "refused": "rows that ingest could not use",
    "users": "a handful of users in thousands of rows",
    "case": "ids that differ from another only in case",
}


@dataclass(frozen=True)
class Finding:
    """`event` and `channel` are None where it concerns all of them; where the log has no
    channels a channel is a source. Days are the project's, both included. `found` and
    `expected` are rows; shares of rows for "amounts", "property", "type", "repeats",
    "duplicates", "late" (of a late file its rows), "ahead", "gaps"; for "clock" the share of users
    whose clock is off; for "users" and "case" ids."""

    severity: Severity
    kind: Kind
    event: str | None
    first_day: date | None
    last_day: date | None
    found: float
    expected: float | None
    message: str
    channel: str | None = None
    property: str | None = None

    def to_json(self) -> dict[str, Any]:
        days = {name: getattr(self, name) for name in ("first_day", "last_day")}
        shown = {name: None if day is None else day.isoformat() for name, day in days.items()}
        return asdict(self) | shown


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by day and event."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                SEVERITIES.index(f.severity),
                f.first_day or date.min,
                f.event or "",
                f.channel or "",
                f.kind,
                -f.found,
                f.message,
            ),
        )
    )


def not_ignored(findings: Iterable[Finding], ignore: Sequence[str]) -> list[Finding]:
    """Without those that a pattern "kind", "kind:event" or "kind:event:channel" fits."""
    return [f for f in findings if not any(_fits(f, pattern) for pattern in ignore)]


def _fits(finding: Finding, pattern: str) -> bool:
    parts = pattern.split(":")
    own = (finding.kind, finding.event or "", finding.channel or "")
    return all(fnmatchcase(mine, part) for mine, part in zip(own, parts, strict=False))


def day_or_days(first: date, last: date) -> str:
    return f"on {first}" if first == last else f"from {first} to {last}"


def called(event: str | None, channel: str | None) -> str:
    """A cell of the log in words."""
    if event is None:
        return "the log" if channel is None else f"channel '{channel}'"
    return f"'{event}'" if channel is None else f"'{event}' of '{channel}'"
