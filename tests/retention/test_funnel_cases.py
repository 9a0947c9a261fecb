"""The funnels of tests/retention/cases, worked by hand, and the users behind their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from oracles.retention_world import settings_in, write_store
from oracles.worked_cases import Case, cases_in

from events.store import EventStore, open_store
from retention.funnel import TOP, Funnel, answered
from retention.funnel_count import Asked
from retention.funnel_users import Wanted, write_users
from retention.steps import question, window_of
from runtime.clock import parse_instant
from runtime.cluster import IN_PROCESS
from runtime.device import Device
from runtime.settings import Settings

CASES = [
    c for path in sorted(Path(__file__).parent.glob("cases/funnel*.toml")) for c in cases_in(path)
]
CPU = Device("cpu", "a test")
HOUR = 3600
ASKED = {"steps", "order", "exclude", "hold", "by", "top", "since", "until", "as_of"}
TOLD = {"users", "open", "events", "groups", "reached", "dropped", "median", "seconds"}


def named(case: Case) -> str:
    return case.name


def asked_of(case: Case, settings: Settings, store: EventStore) -> Asked:
    ask = dict(case.ask)
    days = ask.pop("within_days", ask.pop("within_hours", 24) / 24)
    assert set(ask) <= ASKED, f"unknown in ask: {set(ask) - ASKED}"
    span = {n: parse_instant(ask[n], case.zone) for n in ("since", "until") if n in ask}
    how = {n: ask[n] for n in ("order", "exclude", "hold", "by") if n in ask}
    found = question(settings, store.covered_until, ask["steps"], window_of(days), **how, **span)
    return Asked(settings, store, CPU, found, IN_PROCESS)


def answer(case: Case, folder: Path) -> tuple[Asked, Funnel]:
    settings = settings_in(folder, case.zone, **case.settings)
    write_store(settings, case.log)
    as_of = case.ask.get("as_of")
    store = open_store(settings, None if as_of is None else parse_instant(as_of, case.zone))
    asked = asked_of(case, settings, store)
    return asked, answered(asked, case.ask.get("top", TOP))


def column(found: Funnel, name: str, unit: float = 1) -> list[float]:
    """-1 where it is null."""
    return [-1.0 if value is None else value / unit for value in found.steps[name].to_list()]


def listed(asked: Asked, found: Funnel, folder: Path, **wanted: Any) -> list[str]:
    path = folder / "users.parquet"
    written = write_users(asked, found, Wanted(**wanted), path)
    users: list[str] = pl.read_parquet(path)["user_id"].to_list()
    assert written.rows == len(users) == len(set(users))
    return sorted(users)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_funnel_worked_by_hand(case: Case, tmp_path: Path) -> None:
    asked, found = answer(case, tmp_path)
    expect = case.expect
    assert set(expect) <= TOLD | {"p25", "p75", "p90"}
    assert found.steps["users"].to_list() == expect["users"]
    if "events" in expect:
        assert found.steps["event"].to_list() == expect["events"]
    if "open" in expect:
        assert found.steps["still_open"].to_list() == expect["open"]
    if "seconds" in expect:
        assert column(found, "median_seconds") == expect["seconds"]
    for name in ("median", "p25", "p75", "p90"):
        if name in expect:
            told = column(found, f"{name}_seconds", HOUR)
            assert told == pytest.approx(expect[name])
    if "groups" in expect:
        groups = {group.label: group.steps["users"].to_list() for group in found.groups}
        assert groups == expect["groups"]
    for step, users in enumerate(expect.get("reached", ()), 1):
        assert listed(asked, found, tmp_path, step=step, dropped=False) == users
    for step, users in enumerate(expect.get("dropped", ()), 1):
        assert listed(asked, found, tmp_path, step=step, dropped=True) == users


@pytest.mark.parametrize("case", CASES, ids=named)
def test_each_list_has_as_many_users_as_the_figure_says(case: Case, tmp_path: Path) -> None:
    asked, found = answer(case, tmp_path)
    groups = [(None, found.steps), *((group.label, group.steps) for group in found.groups)]
    for label, steps in groups:
        for row in steps.to_dicts():
            wanted = {"step": row["step"], "value": label}
            assert len(listed(asked, found, tmp_path, dropped=False, **wanted)) == row["users"]
            if row["dropped"] is not None:
                users = listed(asked, found, tmp_path, dropped=True, **wanted)
                assert len(users) == row["dropped"]
    if found.groups:
        whole = [sum(g.steps["users"][n] for g in found.groups) for n in range(found.steps.height)]
        assert whole == found.steps["users"].to_list()


def test_there_are_enough_cases_and_the_known_faults_are_among_them() -> None:
    assert len(CASES) >= 55
    assert sum(case.fault is not None for case in CASES) >= 4
