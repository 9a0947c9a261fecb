"""Lifecycle and stickiness: worked examples, and equality with plain loops over users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_naive import active_days, lifecycle_counts, users_active
from oracles.retention_world import Row, at, settings_in, write_store

from retention.lifecycle import STATES, Lifecycle, lifecycle
from retention.stickiness import MONTH_DAYS, WEEK_DAYS, Stickiness, stickiness
from runtime.device import Device

CPU = Device("cpu", "a test")
ZONES = ("UTC", "Asia/Shanghai", "America/Los_Angeles", "Europe/Berlin")


@st.composite
def logs(draw: st.DrawFn, days: int) -> list[Row]:
    half_days = st.integers(0, days * 2)
    names = st.sampled_from(["view", "mail"])
    rows = draw(
        st.lists(st.tuples(st.sampled_from("abcd"), half_days, names), min_size=1, max_size=40)
    )
    start = at("2024-02-20T06:00")
    return [(user, start + timedelta(hours=12 * n), name) for user, n, name in rows]


def both_of(
    rows: Sequence[Row], zone: str = "UTC", period: str = "day"
) -> tuple[Lifecycle, Stickiness]:
    with TemporaryDirectory() as folder:
        chosen = settings_in(Path(folder), zone, activity={"exclude": ["mail"]})
        store = write_store(chosen, rows)
        return lifecycle(chosen, store, CPU, period), stickiness(chosen, store, CPU)


@given(rows=logs(20), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week", "month"]))
@settings(max_examples=50, deadline=None)
def test_states_equal_those_of_a_loop(rows, zone, period) -> None:
    table, _ = both_of(rows, zone, period)
    days = active_days(rows, zone, ["view"])
    owned = {user: {_number(day, period) for day in own} for user, own in days.items()}
    for row in table.periods.to_dicts():
        expected = lifecycle_counts(owned, _number(row["period"], period))
        if not row["complete"]:
            expected["dormant"] = None
        assert {state: row[state] for state in STATES} == expected
        assert row["active"] == sum(row[s] for s in ("new", "returning", "resurrected"))
    assert table.periods["new"].sum() == len(days)


def _number(day: date, period: str) -> int:
    if period == "month":
        return day.year * 12 + day.month
    monday = day - timedelta(days=day.weekday())
    return day.toordinal() if period == "day" else monday.toordinal() // 7


@given(rows=logs(50), zone=st.sampled_from(ZONES))
@settings(max_examples=40, deadline=None)
def test_active_users_equal_those_of_a_loop(rows, zone) -> None:
    _, table = both_of(rows, zone)
    days = active_days(rows, zone, ["view"])
    for place, row in enumerate(table.days.to_dicts()):
        assert row["dau"] == users_active(days, row["day"], 1)
        for name, length in (("wau", WEEK_DAYS), ("mau", MONTH_DAYS)):
            known = place >= length - 1
            assert row[name] == (users_active(days, row["day"], length) if known else None)


def test_a_life_by_hand() -> None:
    rows = [("a", at(f"2024-05-0{n}T10:00"), "view") for n in (1, 2, 4)]
    rows += [("b", at("2024-05-02T10:00"), "view"), ("b", at("2024-05-05T10:00"), "mail")]
    table, _ = both_of(rows)
    told = [
        (r["period"].day, r["new"], r["returning"], r["resurrected"], r["dormant"], r["complete"])
        for r in table.periods.to_dicts()
    ]
    assert told == [
        (1, 1, 0, 0, 0, True),
        (2, 1, 1, 0, 0, True),
        (3, 0, 0, 0, 2, True),
        (4, 0, 0, 1, 0, True),
        (5, 0, 0, 0, None, False),  # ends at the mail, before the day does
    ]


def test_stickiness_by_hand() -> None:
    rows = [("a", at(f"2024-05-{n:02d}"), "view") for n in range(1, 31)]
    rows += [("b", at("2024-05-01"), "view"), ("b", at("2024-05-30"), "view")]
    _, table = both_of(rows)
    last = table.days.to_dicts()[-1]
    assert (last["dau"], last["wau"], last["mau"], last["dau_mau"]) == (2, 2, 2, 1.0)
    assert last["complete"]  # a log of dates covers its last day
    before = table.days.to_dicts()[-2]
    assert (before["dau"], before["wau"], before["mau"]) == (1, 1, None)


def test_the_tables_are_json() -> None:
    for table in both_of([("a", at("2024-05-01T10:00"), "view")]):
        assert json.loads(json.dumps(table.to_json())) == table.to_json()


def test_a_log_without_any_activity_has_only_silence() -> None:
    table, sticky = both_of([("a", at("2024-05-01"), "mail"), ("a", at("2024-05-02"), "mail")])
    assert table.periods["active"].to_list() == [0, 0]
    assert sticky.days["dau"].to_list() == [0, 0]
