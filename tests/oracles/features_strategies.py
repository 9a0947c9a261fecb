"""Small awkward logs, users, definitions and specs for the feature tests to draw from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from oracles.features_logs import (
    ATTRIBUTES,
    CATEGORIES,
    CHANNELS,
    DEADLINES,
    EDGES,
    EVENTS_SEEN,
    NUMBERS,
    PROPERTIES,
    USERS,
    T,
)
from oracles.features_worked import WHOLE

from features.definitions import Definitions
from features.spec import FeatureSpec, Peers
from features.time import Window
from runtime.settings import Activity, Churn, Eligible, Value

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Shanghai")
# Forward and back in Berlin, New York and Los Angeles.
CLOCK_CHANGES = tuple(
    datetime.fromisoformat(f"{instant}:00+00:00")
    for instant in (
        "2024-03-31 01",
        "2023-10-29 01",
        "2024-03-10 07",
        "2023-11-05 06",
        "2024-03-10 10",
        "2023-11-05 09",
    )
)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY, MICRO = timedelta(days=1), timedelta(microseconds=1)

# From one event of a user to the next: in a burst, day by day, after a silence. The pauses that
# end a session (one minute, 30 minutes, three days) are among them, and one more microsecond.
BURST = (MICRO * 0, MICRO, SECOND, MINUTE, MINUTE + MICRO, 29 * MINUTE, 30 * MINUTE)
BURST += (30 * MINUTE + MICRO, HOUR)
DAILY = (20 * HOUR, 23 * HOUR, DAY, DAY + MICRO, 25 * HOUR, 30 * HOUR)
SILENCE = (2 * DAY, 3 * DAY, 3 * DAY + MICRO, 5 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 120 * DAY)
STEPS = (BURST, DAILY, SILENCE, BURST, DAILY, BURST + DAILY + SILENCE)

# Quarters: their sums are exact, so a row too many or too few shows whatever the others are.
amounts = st.none() | st.integers(-40_000, 400_000).map(lambda quarters: quarters / 4)
SCALES = (1.0, 1.0, 2.0**-10)


def midnight(zone: str, days: int, micros: int) -> datetime:
    """Around the local midnight so many days from T."""
    date = (T + days * DAY).date()
    start = datetime(date.year, date.month, date.day, tzinfo=ZoneInfo(zone))
    return start.astimezone(UTC) + micros * MICRO


around = st.sampled_from((-1, 0, 0, 1))
moments = st.one_of(
    st.sampled_from(EDGES).flatmap(lambda edge: st.sampled_from((T - edge, T + edge))),
    st.integers(-500 * 24 * 60, 60 * 24 * 60).map(lambda minutes: T + minutes * MINUTE),
    st.integers(-300, 30).map(lambda minutes: T + minutes * MINUTE),
    st.builds(midnight, st.sampled_from(ZONES), st.integers(-60, 5), around),
    st.builds(
        lambda change, minutes, micros: change + minutes * MINUTE + micros * MICRO,
        st.sampled_from(CLOCK_CHANGES),
        st.sampled_from((-61, -60, -30, -1, 0, 0, 30, 59, 60, 61)),
        around,
    ),
)
recent = st.integers(1, 3 * 24 * 60).map(lambda minutes: T - minutes * MINUTE)
WHAT = {
    "event": st.sampled_from(EVENTS_SEEN),
    "amount": amounts,
    "channel": st.sampled_from(CHANNELS),
    "properties": st.sampled_from(PROPERTIES),
}
who = st.sampled_from((USERS[0], *USERS))
rows = st.fixed_dictionaries({"user_id": who, "ts": moments, **WHAT})


@st.composite
def habits(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A user's events one after the other, until about now."""
    user, steps = draw(who), draw(st.sampled_from(STEPS))
    at, found = draw(moments | recent), []
    for step in draw(st.lists(st.sampled_from(steps), min_size=2, max_size=12)):
        found.append({"user_id": user, "ts": at, **draw(st.fixed_dictionaries(WHAT))})
        at -= step
    return found


def flat(parts: list[list[dict[str, Any]]], scale: float) -> list[dict[str, Any]]:
    return [
        row if row["amount"] is None else row | {"amount": row["amount"] * scale}
        for part in parts
        for row in part
    ]


single = rows.map(lambda row: [row])
twice = rows.map(lambda row: [row, dict(row)])  # equal rows
together = st.builds(lambda a, b: [a, b | {"user_id": a["user_id"], "ts": a["ts"]}], rows, rows)
parts = st.lists(st.one_of(single, habits(), habits(), twice, together), min_size=1, max_size=8)
logs = st.builds(flat, parts, st.sampled_from(SCALES))


people = st.dictionaries(
    st.sampled_from(USERS),
    st.fixed_dictionaries(
        {
            "age": st.none() | st.floats(-10, 200, allow_nan=False),
            "plan": st.sampled_from((None, "gold", "free", "new")),
            "left": st.none() | moments,
        }
    ),
)
names = st.sampled_from(EVENTS_SEEN)
PASSIVE = (Churn(kind="passive"), Churn(kind="passive", gap_days=7, horizon_days=60))
MARKED = (
    Churn(kind="active", events=("cancel",), gap_days=7),
    Churn(kind="active", events=("cancel", "Buy"), date_column="left"),
    Churn(kind="active", date_column="left", gap_days=2),
    Churn(kind="lapse", events=("buy", "view"), period_days=30, grace_days=1),
    Churn(kind="lapse", events=("buy", "Buy", "other"), period_days=90, grace_days=7),
    Churn(kind="lapse", events=("buy",), period_days=7, gap_days=7),
)
churns = st.sampled_from(PASSIVE) | st.sampled_from(MARKED)
definitions = st.builds(
    Definitions,
    activity=st.builds(
        Activity,
        events=st.none() | st.none() | st.lists(names, min_size=1, max_size=4).map(tuple),
        exclude=st.lists(names, max_size=1).map(tuple),
    ),
    eligible=st.builds(Eligible, within_days=st.sampled_from((None, None, None, 7, 90))),
    churn=churns,
    value=st.builds(
        Value, events=st.none() | st.none() | st.lists(names, min_size=1, max_size=3).map(tuple)
    ),
)
mostly = st.sampled_from((True, True, True, False))
windowed = st.builds(
    FeatureSpec,
    windows=st.sampled_from(
        (tuple(map(Window, (7, 30, 90, 365))), (Window(31),), (), tuple(map(Window, (1, 7, 3650))))
    ),
    events=st.lists(names, unique=True, min_size=1, max_size=6).map(tuple),
    channels=st.lists(st.sampled_from(CHANNELS[1:]), unique=True, max_size=3).map(tuple),
    pools_events=st.booleans(),
    pools_channels=st.booleans(),
    has_amount=mostly,
    has_events=mostly,
    has_channels=mostly,
    has_times=mostly,
    session_gap_minutes=st.sampled_from((1, 30, 3 * 24 * 60)),
    timezone=st.sampled_from((*ZONES, "Asia/Kathmandu")),
    definitions=definitions,
    attributes=st.sampled_from(((), ATTRIBUTES)),
    roles=st.sampled_from(((), WHOLE.roles, WHOLE.roles[1:])),
    holidays=st.lists(st.dates(date(2022, 6, 1), date(2025, 9, 1)), max_size=4).map(tuple),
    priced=st.lists(names, unique=True, max_size=4).map(sorted).map(tuple),
    numbers=st.sampled_from(((), NUMBERS, NUMBERS[1:])),
    deadlines=st.sampled_from(((), DEADLINES, DEADLINES[2:])),
    categories=st.sampled_from(((), CATEGORIES, CATEGORIES[1:])),
)
# A set, and the patterns of one of a project's own.
OTHER_SETS = (("default", ()), ("lean", ()), ("mine", ("*_30d*", "gap_*")))
sets = st.just(("full", ())) | st.just(("full", ())) | st.sampled_from(OTHER_SETS)
means = st.lists(st.none() | st.sampled_from((0.0, 0.37, 12.0)), min_size=7, max_size=7)


@st.composite
def _specs(draw: st.DrawFn) -> FeatureSpec:
    spec, (name, chosen) = draw(windowed), draw(sets)
    compared = ["events", "active_days", *(["amount"] if spec.has_amount else [])]
    peers = [Peers(peer, tuple(draw(means))) for peer in compared if spec.month]
    return replace(spec, set=name, chosen=chosen, peers=tuple(peers))


specs = _specs()


@dataclass(frozen=True)
class World:
    log: list[dict[str, Any]]
    cutoffs: list[datetime]
    spec: FeatureSpec
    users: dict[str, dict[str, Any]]


@st.composite
def arriving(
    draw: st.DrawFn, log: list[dict[str, Any]], cutoffs: list[datetime]
) -> list[dict[str, Any]]:
    """In one log of three some events arrive late, often just at a cutoff."""
    if draw(st.integers(0, 2)):
        return log
    at = st.builds(lambda t, micros: t + micros * MICRO, st.sampled_from(cutoffs), around)
    found = list(log)
    for place in draw(st.sets(st.integers(0, len(log) - 1), min_size=1, max_size=5)):
        row = found[place]
        waited = st.sampled_from([row["ts"] + wait for wait in SILENCE])
        found[place] = row | {"received": max(draw(at | waited), row["ts"])}
    return found


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Often an event lies on a cutoff, on an edge of one of its windows, or at a midnight; one
    cutoff is T."""
    spec = draw(specs)
    log = draw(logs)
    midnights = st.builds(midnight, st.just(spec.timezone), st.integers(-60, 5), around)
    for at in draw(st.lists(midnights, max_size=3)):
        log = [*log, draw(rows) | {"ts": at}]
    edges = (0, 0, *(window.days for window in spec.windows))
    on_events = st.builds(
        lambda row, days, micros: row["ts"] + days * DAY + micros * MICRO,
        st.sampled_from(log),
        st.sampled_from(edges),
        around,
    )
    instants = st.one_of(on_events, on_events, on_events, moments)
    cutoffs = sorted({T, *draw(st.lists(instants, max_size=2))})
    return World(draw(arriving(log, cutoffs)), cutoffs, spec, draw(people))
