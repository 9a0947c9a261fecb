"""Retention tables: worked examples at the edges, and equality with SQL and plain loops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_naive import (
    offsets_by_calendar,
    offsets_by_elapsed,
    sizes_by_calendar,
)
from oracles.retention_world import Row, at, hours, settings_in, write_store

from events.store import open_store
from retention.cells import cells_of
from retention.curve import RetentionTable, retention
from runtime.device import Device
from runtime.errors import UsageError

CPU = Device("cpu", "a test")
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Havana",  # its clocks change at midnight: a day begins at 01:00
)
NAMES = ("view", "buy", "mail")


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Few users on few instants around two changes of the clocks, often at a midnight."""
    start = at("2024-03-05")
    grain = draw(st.sampled_from([1, 60, 12 * 60, 24 * 60]))
    minutes = st.integers(0, 40 * 24 * 60 // grain).map(lambda n: n * grain)
    row = st.tuples(st.sampled_from("abcde"), minutes, st.sampled_from(NAMES))
    rows = draw(st.lists(row, min_size=1, max_size=40))
    return [(user, start + timedelta(minutes=m), name) for user, m, name in rows]


def table_of(rows: Sequence[Row], zone: str = "UTC", as_of: datetime | None = None, **how):
    buckets = how.pop("buckets", 2)
    activity = how.pop("activity", {})
    with TemporaryDirectory() as folder:
        chosen = settings_in(Path(folder), zone, activity=activity)
        write_store(chosen, rows, buckets)
        return retention(chosen, open_store(chosen, as_of), CPU, **how)


def retained(table: RetentionTable) -> dict[tuple[str, str], int]:
    rows = table.to_json()["rows"]
    return {(r["cohort"], r["cell"]): r["retained"] for r in rows if r["retained"]}


@given(
    rows=logs(),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(["day", "week", "month"]),
    mode=st.sampled_from(["nday", "rolling", "bracket"]),
)
@settings(max_examples=25, deadline=None)
def test_calendar_counts_equal_those_of_sql(rows, zone, period, mode) -> None:
    active = ("view", "buy")
    table = table_of(
        rows, zone, mode=mode, period=period, periods=9, activity={"exclude": ["mail"]}
    )
    users = offsets_by_calendar(rows, zone, period, active)
    expected = {}
    for cell in cells_of(mode, period, 9, None):
        for cohort, own in users.items():
            if n := sum(_hits(offsets, cell.start, cell.end) for offsets in own.values()):
                expected[cohort.isoformat(), cell.name] = n
    assert retained(table) == expected
    sizes = {r["cohort"]: r["users"] for r in table.cells.to_dicts()}
    assert sizes == sizes_by_calendar(rows, zone, period)


@given(rows=logs(), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week"]))
@settings(max_examples=15, deadline=None)
def test_elapsed_counts_equal_those_of_a_loop(rows, zone, period) -> None:
    table = table_of(rows, zone, mode="nday", period=period, periods=8, clock="elapsed")
    length = timedelta(days=1 if period == "day" else 7)
    users = offsets_by_elapsed(rows, length, NAMES)
    for cell in range(9):
        counted = table.cells.filter(start=cell)["retained"].sum()
        assert counted == sum(cell in offsets for offsets in users.values())


@given(rows=logs())
@settings(max_examples=10, deadline=None)
def test_buckets_and_row_order_change_nothing(rows) -> None:
    one = table_of(rows, "Europe/Berlin", buckets=1)
    many = table_of(rows[::-1], "Europe/Berlin", buckets=5)
    assert one.to_json() == many.to_json()


def _hits(offsets: set[int], start: int, end: int | None) -> bool:
    return any(start <= n and (end is None or n <= end) for n in offsets)


def test_one_minute_past_midnight_is_the_next_day_and_not_yet_24_hours() -> None:
    rows = [("a", at("2024-05-01T23:59"), "view"), ("a", at("2024-05-02T00:01"), "view")]
    rows.append(("z", at("2024-05-09"), "view"))
    calendar = table_of(rows, mode="nday", periods=2)
    assert retained(calendar)["2024-05-01", "1"] == 1
    elapsed = table_of(rows, mode="nday", periods=2, clock="elapsed")
    assert ("2024-05-01", "1") not in retained(elapsed)


def test_an_event_on_the_edge_belongs_to_the_period_that_begins_there() -> None:
    first = at("2024-05-01T10:00")
    tick = timedelta(microseconds=1)
    rows = [("a", first, "view"), ("a", first + hours(24), "view")]
    rows += [("b", first, "view"), ("b", first + hours(24) - tick, "view")]
    rows += [("z", at("2024-05-09"), "view")]
    table = table_of(rows, mode="nday", periods=1, clock="elapsed")
    assert retained(table)["2024-05-01", "1"] == 1
    midnight = at("2024-05-02")
    rows = [("a", first, "view"), ("a", midnight, "view")]
    rows += [("b", first, "view"), ("b", midnight - tick, "view"), ("z", at("2024-05-09"), "view")]
    assert retained(table_of(rows, mode="nday", periods=1))["2024-05-01", "1"] == 1


@pytest.mark.parametrize(
    ("zone", "cohort", "away"),
    [
        ("UTC", "2024-05-01", "1"),
        ("Etc/GMT-8", "2024-05-02", "0"),
        ("Etc/GMT+8", "2024-05-01", "0"),
    ],
)
def test_days_are_those_of_the_zone_east_and_west(zone: str, cohort: str, away: str) -> None:
    """17:00 UTC is 01:00 on the next day at UTC+8, 07:00 UTC is 23:00 on the day before at
    UTC-8. (The names of the Etc zones have the sign turned round.)"""
    rows = [("a", at("2024-05-01T17:00"), "view"), ("a", at("2024-05-02T07:00"), "view")]
    rows.append(("z", at("2024-05-09"), "view"))
    found = [
        key for key in retained(table_of(rows, zone, mode="nday", periods=3)) if key[0] == cohort
    ]
    assert found == sorted({(cohort, "0"), (cohort, away)})


@pytest.mark.parametrize(
    ("change", "length"), [("2024-03-31", 23), ("2024-10-27", 25)], ids=["spring", "autumn"]
)
def test_a_day_of_23_or_25_hours_is_one_day(change: str, length: int) -> None:
    """In Berlin 23:30 on the day of the change is day 0 and 00:30 of the next one is day 1, be
    it 23.5 or 25.5 hours after the midnight."""
    day = date.fromisoformat(change)
    begin = at(f"{change}T00:00+0{1 if length == 23 else 2}:00")
    rows = [("a", begin, "view"), ("a", begin + hours(length - 0.5), "view")]
    rows += [("b", begin, "view"), ("b", begin + hours(length + 0.5), "view")]
    rows.append(("z", begin + timedelta(days=9), "view"))
    table = table_of(rows, "Europe/Berlin", mode="nday", periods=1)
    assert retained(table)[day.isoformat(), "0"] == 2
    assert retained(table)[day.isoformat(), "1"] == 1
    windows = retained(table_of(rows, "Europe/Berlin", mode="nday", periods=1, clock="elapsed"))
    assert windows.get((day.isoformat(), "1"), 0) == (0 if length == 23 else 2)


def test_a_first_event_before_the_range_is_in_no_cohort_of_it() -> None:
    rows = [("old", at("2024-04-20"), "view"), ("old", at("2024-05-02"), "view")]
    rows += [("new", at("2024-05-02"), "view"), ("new", at("2024-05-03"), "view")]
    rows += [("late", at("2024-05-20"), "view")]
    span = {"since": at("2024-05-01"), "until": at("2024-05-10")}
    first = table_of(rows, mode="nday", periods=1, **span)
    assert {r["cohort"]: r["users"] for r in first.to_json()["rows"]} == {"2024-05-02": 1}
    ranged = table_of(rows, mode="nday", periods=1, anchor="first_in_range", **span)
    assert {r["cohort"]: r["users"] for r in ranged.to_json()["rows"]} == {"2024-05-02": 2}
    assert retained(ranged)["2024-05-02", "1"] == 1


def test_what_has_not_ended_is_incomplete_and_no_fall() -> None:
    rows = [("a", at("2024-05-01T10:00"), "view"), ("b", at("2024-05-02T10:00"), "view")]
    rows.append(("a", at("2024-05-03T10:00"), "view"))
    cells = table_of(rows, mode="nday", periods=2).to_json()["rows"]
    seen = {(c["cohort"], c["cell"]): (c["complete"], c["share"]) for c in cells}
    # The log ends in the morning of May 3: May 2 has ended, May 3 has not.
    assert seen["2024-05-01", "1"] == (True, 0.0)
    assert seen["2024-05-01", "2"] == (False, None)
    assert seen["2024-05-02", "0"] == (True, 1.0)
    assert seen["2024-05-02", "1"] == (False, None)
    later = table_of(rows, as_of=at("2024-05-09"), mode="nday", periods=2).to_json()["rows"]
    assert all(c["complete"] for c in later if c["cohort"] == "2024-05-01")


def test_nothing_at_or_after_as_of_is_read() -> None:
    rows = [("a", at("2024-05-01T10:00"), "view"), ("a", at("2024-05-02T10:00"), "view")]
    cut = table_of(rows, as_of=at("2024-05-02T10:00"), mode="nday", periods=1)
    assert ("2024-05-01", "1") not in retained(cut)


def test_the_overall_line_sums_complete_cohorts_only() -> None:
    rows = [("a", at("2024-05-01T10:00"), "view"), ("a", at("2024-05-02T10:00"), "view")]
    rows += [("b", at("2024-05-01T10:00"), "view"), ("c", at("2024-05-03T10:00"), "view")]
    day1 = table_of(rows, mode="nday", periods=1).to_json()["overall"][1]
    assert (day1["users"], day1["retained"], day1["share"]) == (2, 1, 0.5)
    # Wilson's interval for 1 of 2 at 95 %, by hand.
    assert day1["low"] == pytest.approx(0.0945312, abs=1e-6)
    assert day1["high"] == pytest.approx(0.9054688, abs=1e-6)


def test_months_of_cohorts_can_be_followed_by_days() -> None:
    rows = [("a", at("2024-05-30"), "view"), ("a", at("2024-06-01"), "view")]
    rows += [("b", at("2024-05-01"), "view"), ("z", at("2024-07-01"), "view")]
    table = table_of(rows, mode="nday", periods=3, period="day", cohort="month")
    assert retained(table)["2024-05-01", "2"] == 1
    assert table.cells.filter(cell="2")["users"].to_list()[0] == 2


def test_the_table_is_json() -> None:
    table = table_of([("a", at("2024-05-01T10:00"), "view")])
    assert json.loads(json.dumps(table.to_json())) == table.to_json()


def test_default_brackets_double() -> None:
    names = [cell.name for cell in cells_of("bracket", "day", None, None)]
    assert names == ["0", "1", "2-3", "4-7", "8-15", "16-30"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"mode": "weekly"}, "mode 'weekly' is not known"),
        ({"period": "year"}, "period 'year' is not known; choose one of day, week, month"),
        ({"clock": "wall"}, "clock 'wall'"),
        ({"anchor": "last"}, "anchor 'last'"),
        ({"anchor": "first_in_range"}, "add --since"),
        ({"periods": -1}, "periods -1"),
        ({"brackets": [(0, 3), (3, 5)]}, "bracket 3-5"),
        ({"brackets": []}, "no bracket"),
        ({"mode": "nday", "brackets": [(0, 1)]}, "brackets go with mode 'bracket'"),
    ],
)
def test_a_wrong_question_is_refused_in_words(how, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        table_of([("a", at("2024-05-01"), "view")], **how)
