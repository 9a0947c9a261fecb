"""What is wrong with the tracking, one finding a thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """`event` is None where it concerns the whole log; days are the project's, both included;
    `found` and `expected` are rows, or a share of rows where `kind` is "amounts"."""

    severity: Severity
    kind: Literal["missing", "drop", "spike", "vanished", "appeared", "amounts", "stray", "refused"]
    event: str | None
    first_day: date | None
    last_day: date | None
    found: float
    expected: float | None
    message: str

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
                f.kind,
                -f.found,
                f.message,
            ),
        )
    )


def day_or_days(first: date, last: date) -> str:
    return f"on {first}" if first == last else f"from {first} to {last}"
