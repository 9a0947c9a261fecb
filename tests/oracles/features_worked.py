"""What the pinned examples share: a spec with everything in it, rows, and the two engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from oracles.features_logs import ATTRIBUTES, CATEGORIES, DEADLINES, NUMBERS, T

from features.definitions import Definitions
from features.spec import FeatureSpec, Peers
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
    priced=("buy", "view"),
)
MEANS = (None, 0.5, 3.0, 0.0, 2.0, 8.0, 1.5)  # of each band of tenure
WHOLE = replace(
    FULL,
    set="full",
    attributes=ATTRIBUTES,
    roles=(("failed_payment", ("cancel",)), ("support", ("odd name/€", "view"))),
    holidays=(date(2024, 3, 29), date(2024, 4, 1), date(2023, 12, 25)),
    peers=tuple(Peers(name, MEANS) for name in ("events", "active_days", "amount")),
    numbers=NUMBERS,
    categories=CATEGORIES,
    deadlines=DEADLINES,
)
CHURNS = {
    "passive": Churn(),
    "active": Churn(kind="active", events=("cancel",), date_column="left"),
    "lapse": Churn(kind="lapse", events=("view", "buy"), period_days=30, grace_days=3),
}


def whole(churn: str) -> FeatureSpec:
    """A spec with every feature that there is under a kind of churn."""
    return replace(WHOLE, definitions=replace(PLAIN, churn=CHURNS[churn]))


def at(instant: datetime, event: str = "view", **other: Any) -> dict[str, Any]:
    """An event of user 'a', through the web and without an amount if nothing else is said."""
    base = {"user_id": "a", "event": event, "amount": None, "channel": "web"}
    return base | {"ts": instant} | other


def row(minutes: float, event: str = "view", **other: Any) -> dict[str, Any]:
    """The same, so many minutes before T."""
    return at(T - timedelta(minutes=minutes), event, **other)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")
