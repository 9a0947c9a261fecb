"""What the pinned examples share: a spec with everything in it, rows, and the two engines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from oracles.features_logs import T

from features.definitions import Definitions
from features.spec import FeatureSpec
from features.time import Window
from runtime.settings import Activity, Churn, Eligible, Value

MICRO, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAIN = Definitions(Activity(), Eligible(), Churn(), Value())
FULL = FeatureSpec(
    windows=tuple(Window(days) for days in (7, 30, 90, 365)),
    events=("view", "buy"),
    channels=("web",),
    pools_events=True,
    pools_channels=True,
    has_amount=True,
    has_events=True,
    has_channels=True,
    has_times=True,
    session_gap_minutes=30,
    timezone="Europe/Berlin",
    definitions=PLAIN,
)


def at(instant: datetime, event: str = "view", **other: Any) -> dict[str, Any]:
    """An event of user 'a', through the web and without an amount if nothing else is said."""
    base = {"user_id": "a", "event": event, "amount": None, "channel": "web"}
    return base | {"ts": instant} | other


def row(minutes: float, event: str = "view", **other: Any) -> dict[str, Any]:
    """The same, so many minutes before T."""
    return at(T - timedelta(minutes=minutes), event, **other)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")
