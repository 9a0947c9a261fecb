"""The lifecycle's cases worked by hand: each log, what is asked of it and what must come out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from oracles.retention_world import settings_in, write_store
from oracles.worked_cases import Case, cases_in

from events.store import EventStore, open_store
from retention.activity import activity
from retention.layers import layers
from retention.lifecycle import STATES, lifecycle
from retention.lifecycle_users import Chosen, chosen_users, layer_users
from retention.rfm import PARTS, rfm
from retention.stickiness import stickiness
from runtime.clock import parse_instant
from runtime.device import Device
from runtime.settings import Settings
from runtime.settings_lifecycle import MEASURES

CPU = Device("cpu", "a test")
FOLDER = Path(__file__).parent / "cases"
CASES = [case for path in sorted(FOLDER.glob("lifecycle*.toml")) for case in cases_in(path)]
UNKNOWN = "?"
EVERYBODY = [{"name": "everybody", "rule": "true"}]
INSTANTS = ("at", "since", "until", "as_of")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Case, tmp_path: Path) -> None:
    sections = dict(case.settings)
    if case.ask["show"] == "measures":
        sections["lifecycle"] = {**sections.get("lifecycle", {}), "layers": EVERYBODY}
    settings = settings_in(tmp_path, case.zone, **sections)
    store = write_store(settings, case.log, 1 + len(case.name) % 2)
    ask = {
        name: parse_instant(value, case.zone) if name in INSTANTS else value
        for name, value in case.ask.items()
    }
    if "as_of" in ask:
        store = open_store(settings, ask.pop("as_of"))
    expected = case.expect
    assert SHOWN[ask.pop("show")](settings, store, ask, tmp_path, expected) == expected


def _states(settings: Settings, store: EventStore, ask: Any, *_: Any) -> Any:
    rows = lifecycle(settings, store, CPU, **ask).to_json()["rows"]
    return [[r["period"], *(_shown(r[state]) for state in STATES)] for r in rows]


def _stickiness(settings: Settings, store: EventStore, ask: Any, *_: Any) -> Any:
    rows = stickiness(settings, store, CPU, **ask).to_json()["rows"]
    return [[r["day"], *(_shown(r[name]) for name in ("dau", "wau", "mau"))] for r in rows]


def _activity(settings: Settings, store: EventStore, ask: Any, _: Path, expected: Any) -> Any:
    rows = {r["period"]: r for r in activity(settings, store, CPU, **ask).to_json()["rows"]}
    return {period: _of(rows[period], wanted) for period, wanted in expected.items()}


def _rfm(settings: Settings, store: EventStore, ask: Any, _: Path, expected: Any) -> Any:
    found = rfm(settings, store, CPU, **ask).to_json()
    cells = [[*(r[name] for name in PARTS), r["users"], r["value"]] for r in found["rows"]]
    return {name: cells if name == "cells" else found[name] for name in expected}


def _layers(settings: Settings, store: EventStore, ask: Any, folder: Path, expected: Any) -> Any:
    table = layers(settings, store, CPU, **ask).layers
    last = table.tail(len(settings.lifecycle.layers) + 1).filter(pl.col("users") > 0)
    told = {}
    for name, users in last.select("layer", "users").iter_rows():
        found = _listed(settings, store, Chosen(layer=name, **ask), folder)
        assert len(found) == users
        assert {row["layer"] for row in found} == {name}
        told |= {row["user_id"]: name for row in found}
    return told


def _tags(settings: Settings, store: EventStore, ask: Any, folder: Path, _: Any) -> Any:
    wanted = ask.pop("tags")
    table = layers(settings, store, CPU, **ask).tags.tail(len(settings.lifecycle.tags))
    users = dict(table.select("tag", "users").iter_rows())
    told = {}
    for tag in wanted:
        told[tag] = [r["user_id"] for r in _listed(settings, store, Chosen(tag=tag, **ask), folder)]
        assert users[tag] == len(told[tag])
    return {tag: sorted(found) for tag, found in told.items()}


def _measures(settings: Settings, store: EventStore, ask: Any, folder: Path, expected: Any) -> Any:
    listed = _listed(settings, store, Chosen(layer="everybody", **ask), folder)
    told = {
        row["user_id"]: {name: float(row[name]) if row[name] else None for name in MEASURES}
        for row in listed
    }
    return {user: _of(told[user], wanted) for user, wanted in expected.items()}


def _movements(settings: Settings, store: EventStore, ask: Any, *_: Any) -> Any:
    rows = layers(settings, store, CPU, **ask).to_json()["movements"]
    return [[r["period"], r["from"] or "none", r["to"], r["users"]] for r in rows]


def _tag_movements(settings: Settings, store: EventStore, ask: Any, *_: Any) -> Any:
    rows = layers(settings, store, CPU, **ask).to_json()["tag_movements"]
    return [[r["period"], r["tag"], r["gained"], r["kept"], r["lost"]] for r in rows]


def _users(settings: Settings, store: EventStore, ask: Any, folder: Path, _: Any) -> Any:
    path = folder / "users.csv"
    found = chosen_users(settings, store, CPU, path, Chosen(**ask))
    with path.open(newline="") as file:
        users = [row["user_id"] for row in csv.DictReader(file)]
    assert found["users"] == len(users)
    return sorted(users)


def _listed(
    settings: Settings, store: EventStore, chosen: Chosen, folder: Path
) -> list[dict[str, str]]:
    path = folder / "users.csv"
    rows = layer_users(settings, store, CPU, path, chosen)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert rows == len(found)
    return found


def _of(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shown(row[name]) for name in wanted}


def _shown(value: Any) -> Any:
    return UNKNOWN if value is None else value


SHOWN = {
    "states": _states,
    "stickiness": _stickiness,
    "activity": _activity,
    "rfm": _rfm,
    "layers": _layers,
    "tags": _tags,
    "measures": _measures,
    "movements": _movements,
    "tag movements": _tag_movements,
    "users": _users,
}


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
