"""Alerts: what has changed of activity, retention, scores and tracking, each in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from events.findings import SEVERITIES
from events.quality import quality
from events.store import CPU, EventStore
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings
from serving.alert import Alert, What
from serving.alert_activity import activity_alerts
from serving.alert_retention import retention_alerts
from serving.alert_scores import score_alerts


@dataclass(frozen=True)
class Alerts:
    """`alerts`, the worst first. `looked_at`: by what, "looked at" or why it could not be."""

    as_of: datetime
    covered_until: datetime
    timezone: str
    alerts: tuple[Alert, ...]
    looked_at: dict[What, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "timezone": self.timezone,
            "alerts": [alert.to_json() for alert in self.alerts],
            "looked_at": dict(self.looked_at),
        }


def alerts(
    settings: Settings, store: EventStore, device: Device = CPU, cluster: Cluster = IN_PROCESS
) -> Alerts:
    """All that `[quality]` says is to be told, as of the store's as-of. Activity and retention
    are of what `[activity]` calls active; periods that have not ended are not judged."""
    looks: dict[What, Callable[[], tuple[list[Alert], str]]] = {
        "activity": lambda: activity_alerts(settings, store, device),
        "retention": lambda: retention_alerts(settings, store, device),
        "scores": lambda: score_alerts(settings, store),
        "tracking": lambda: tracking_alerts(settings, store, device, cluster),
    }
    found: list[Alert] = []
    looked_at: dict[What, str] = {}
    for what, look in looks.items():
        more, looked_at[what] = look()
        found += more
    found.sort(key=lambda a: (SEVERITIES.index(a.severity), a.what, a.name, a.since or date.min))
    zone = settings.project.timezone
    return Alerts(store.as_of, store.covered_until, zone, tuple(found), looked_at)


def tracking_alerts(
    settings: Settings, store: EventStore, device: Device, cluster: Cluster
) -> tuple[list[Alert], str]:
    """Findings of errors and warnings that reach into the last `alert_days` days."""
    zone = ZoneInfo(settings.project.timezone)
    newest = store.covered_until.astimezone(zone).date()
    since = newest - timedelta(days=settings.quality.alert_days)
    found = []
    for finding in quality(settings, store, device, cluster).findings:
        if finding.severity == "info" or finding.last_day is None or finding.last_day < since:
            continue
        found.append(
            Alert(
                what="tracking",
                name=finding.kind,
                found=finding.found,
                expected=finding.expected,
                since=finding.first_day,
                severity=finding.severity,
                sentence=finding.message,
            )
        )
    return found, "looked at"
