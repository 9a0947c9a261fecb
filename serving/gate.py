"""The gate before scoring: whether the tracking of the days that matter is whole.

What features tell apart most is told by the newest days, so the findings that count reach into
the `gate_days` days before the as-of; to judge them some weeks before those are counted too, and
the rest of the log is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from events.daily import count_daily
from events.findings import SEVERITIES, Finding, not_ignored, ranked
from events.look import asked_of
from events.quality import tracking_findings
from events.store import EventStore
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import TrackingError
from runtime.files import make_folder, write_json
from runtime.progress import say
from runtime.settings import Settings
from serving.table import as_of_key

WEEKS_BEFORE = 14  # of which habits are known


@dataclass(frozen=True)
class Gate:
    """What the gate saw. `state`: "open", "broken" (and scored all the same) or "off"."""

    as_of: datetime
    days: int
    state: Literal["open", "broken", "off"]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "as_of": show(self.as_of),
            "days": self.days,
            "state": self.state,
            "findings": [finding.to_json() for finding in self.findings],
        }


def pass_gate(
    settings: Settings,
    store: EventStore,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    *,
    despite: bool = False,
) -> Gate:
    """Looks at the newest days as `[quality]` says. Raises TrackingError where the gate stops
    and `despite` is not given; where it warns, a line says why."""
    rule = settings.quality
    if rule.gate == "off":
        return Gate(store.as_of, rule.gate_days, "off", ())
    found = recent_findings(settings, store, device, cluster)
    if not found:
        return Gate(store.as_of, rule.gate_days, "open", ())
    others = f" and {len(found) - 1} more like it" if len(found) > 1 else ""
    why = f"{found[0].message}{others}"
    if rule.gate == "stop" and not despite:
        raise TrackingError(
            f"tracking: {why}; nothing is scored: see 'holdfast quality', and mend it, name it "
            "under quality.ignore, or score with --despite-tracking"
        )
    say(f"tracking: {why}; scored all the same")
    return Gate(store.as_of, rule.gate_days, "broken", found)


def recent_findings(
    settings: Settings, store: EventStore, device: Device, cluster: Cluster = IN_PROCESS
) -> tuple[Finding, ...]:
    """Findings of `gate_severity` or worse that reach into the last `gate_days` days."""
    rule = settings.quality
    days = rule.gate_days + 7 * WEEKS_BEFORE
    asked = asked_of(settings, store, device, recent_days=days, cluster=cluster)
    counts = count_daily(store, asked, device, cluster)
    worst = SEVERITIES[: SEVERITIES.index(rule.gate_severity) + 1]
    end = store.covered_until.astimezone(ZoneInfo(settings.project.timezone)).date()
    since = end - timedelta(days=rule.gate_days)
    found = not_ignored(tracking_findings(counts, settings, store), rule.ignore)
    return ranked(
        f for f in found if f.severity in worst and f.last_day is not None and f.last_day >= since
    )


def record_gate(settings: Settings, gate: Gate) -> Path:
    """Beside the scores, by as-of: what was known of the tracking when they were made."""
    folder = make_folder(settings.store / "gate")
    path = folder / f"{as_of_key(gate.as_of)}.json"
    write_json(path, gate.to_json())
    return path
