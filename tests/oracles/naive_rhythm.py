"""Sessions, and the hours and weekdays at which a user is active."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oracles.naive_person import MINUTE, Person, Row, Values, entropy, mean

PARTS = {"night": range(6), "morning": range(6, 12), "afternoon": range(12, 18)} | {
    "evening": range(18, 24)
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def sessions(person: Person) -> Values:
    if not person.spec.has_times:
        return {}
    out: Values = {}
    for mark, days in person.windows:
        runs = runs_of(person.since(person.active, days), person.spec.session_gap_minutes)
        out[f"sessions_{mark}"] = len(runs)
        out[f"session_minutes_{mark}"] = mean([minutes_of(run) for run in runs])
        out[f"session_depth_{mark}"] = mean([len(run) for run in runs])
    runs = runs_of(person.active, person.spec.session_gap_minutes)
    out["session_bounce_share"] = sum(len(run) == 1 for run in runs) / len(runs)
    out["session_minutes_max"] = max(minutes_of(run) for run in runs)
    out["session_depth_max"] = max(len(run) for run in runs)
    return out


def runs_of(rows: Sequence[Row], pause_minutes: int) -> list[list[datetime]]:
    """The instants of each session: no pause in it is longer than `pause_minutes`."""
    runs: list[list[datetime]] = []
    for row in rows:
        if runs and row["ts"] - runs[-1][-1] <= pause_minutes * MINUTE:
            runs[-1].append(row["ts"])
        else:
            runs.append([row["ts"]])
    return runs


def minutes_of(run: Sequence[datetime]) -> float:
    return (run[-1] - run[0]) / MINUTE


def rhythm(person: Person) -> Values:
    local = [person.local(row) for row in person.active]
    weekdays = [WEEKDAYS[instant.weekday()] for instant in local]
    out: Values = {f"{name}_share": weekdays.count(name) / len(local) for name in WEEKDAYS}
    out["weekend_share"] = out["saturday_share"] + out["sunday_share"]
    out["weekday_entropy"] = entropy(weekdays)
    if person.spec.has_times:
        for name, hours in PARTS.items():
            out[f"{name}_share"] = sum(instant.hour in hours for instant in local) / len(local)
        out["hour_entropy"] = entropy([instant.hour // 3 for instant in local])
    return out
