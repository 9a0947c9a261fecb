"""One alert."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

from events.findings import Severity

What = Literal["activity", "retention", "scores", "tracking"]


@dataclass(frozen=True)
class Alert:
    """`what` has changed, `name` of it; `since` when, null where that cannot be told."""

    what: What
    name: str
    found: float
    expected: float | None
    since: date | None
    severity: Severity
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"since": None if self.since is None else self.since.isoformat()}
