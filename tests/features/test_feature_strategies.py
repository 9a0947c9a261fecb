"""The random logs are awkward often enough: what the oracles are compared on really occurs."""

from __future__ import annotations

from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from oracles import features_naive
from oracles.features_strategies import CLOCK_CHANGES, HOUR, World, worlds

SEEDS, EXAMPLES = 4, 150  # one seed alone may miss what a few of a hundred logs have
# In how many of a hundred logs, at least: about half of what six seeds gave.
LEAST = {
    "somebody is eligible": 45,
    "two events at one instant": 45,
    "an event around a clock change": 12,
    "an event at a local midnight": 20,
    "an event on a cutoff": 5,
    "an event on a window's edge": 2,
    "an event arrives after a cutoff": 8,
    "a streak of three days": 5,
    "a session of three": 4,
    "three gaps": 12,
    "a memory of gaps": 5,
    "a share of gaps that is neither none nor all": 4,
    "a refund": 8,
    "amounts that differ": 8,
    "a rate that changed": 8,
    "a user with one event": 15,
    "a user with renewals": 1,
    "peers to compare with": 12,
}


@pytest.mark.slow
def test_awkward_logs_are_frequent() -> None:
    counted: Counter[str] = Counter()

    def look(world: World) -> None:
        counted.update({"logs"} | _of_log(world) | _of_values(world))

    for number in range(SEEDS):
        drawn = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(drawn(given(world=worlds())(look)))()
    shares = {what: round(100 * counted[what] / counted["logs"]) for what in LEAST}
    assert {what: n for what, n in shares.items() if n < LEAST[what]} == {}, shares


def _of_log(world: World) -> set[str]:
    zone, log, cutoffs = ZoneInfo(world.spec.timezone), world.log, world.cutoffs
    ages = {t - row["ts"] for row in log for t in cutoffs}
    places = Counter((row["user_id"], row["ts"]) for row in log)
    local = [row["ts"].astimezone(zone) for row in log]
    late = [row for row in log if row.get("received")]
    near = [abs(row["ts"] - change) <= HOUR for row in log for change in CLOCK_CHANGES]
    holds = {
        "two events at one instant": max(places.values()) > 1,
        "an event around a clock change": any(near),
        "an event at a local midnight": any(t.time().isoformat() == "00:00:00" for t in local),
        "an event on a cutoff": any(row["ts"] in cutoffs for row in log),
        "an event on a window's edge": any(w.length in ages for w in world.spec.windows),
        "an event arrives after a cutoff": any(
            row["ts"] < t <= row["received"] for row in late for t in cutoffs
        ),
    }
    return {what for what, found in holds.items() if found}


def _of_values(world: World) -> set[str]:
    found: set[str] = set()
    for t in world.cutoffs:
        people = features_naive.features(world.log, t, world.spec, world.users)
        for values in people.values():
            found |= {"somebody is eligible"} | _of_person(values)
    return found


def _of_person(values: dict[str, Any]) -> set[str]:
    quantile = values.get("gap_now_quantile")
    holds = {
        "a streak of three days": (values.get("streak_max_days") or 0) >= 3,
        "a session of three": (values.get("session_depth_max") or 0) >= 3,
        "three gaps": (values.get("active_days_total") or 0) >= 4,
        "a memory of gaps": values.get("gap_memory") is not None,
        "a share of gaps that is neither none nor all": quantile not in (None, 0, 1),
        "a refund": values.get("refund_share"),
        "amounts that differ": values.get("amount_deviation"),
        "a rate that changed": any(v for name, v in values.items() if "_change_" in name),
        "a user with one event": values.get("events_total") == 1,
        "a user with renewals": values.get("renewals_total"),
        "peers to compare with": any(v for name, v in values.items() if "_over_peers" in name),
    }
    return {what for what, held in holds.items() if held}
