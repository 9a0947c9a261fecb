"""Funnels: worked examples, and equality with every choice of events tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_naive import funnel_depths, median_or_none
from oracles.retention_world import Row, at, hours, settings_in, write_store

from events.store import open_store
from retention.funnel import Funnel, funnel
from runtime.device import Device
from runtime.errors import UsageError

CPU = Device("cpu", "a test")
START = at("2024-05-01")


def funnel_of(
    rows: Sequence[Row], steps: Sequence[str], as_of: datetime | None = None, **how
) -> Funnel:
    buckets = how.pop("buckets", 2)
    with TemporaryDirectory() as folder:
        chosen = settings_in(Path(folder))
        write_store(chosen, rows, buckets)
        return funnel(chosen, open_store(chosen, as_of), CPU, steps, **how)


def rows_at(user: str, *times: tuple[float, str]) -> list[Row]:
    return [(user, START + hours(hour), name) for hour, name in times]


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Many ties: few users, few events, few instants. Each event occurs at least once."""
    row = st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.sampled_from("VCB"))
    rows = draw(st.lists(row, max_size=14))
    rows += [("z", 0, name) for name in "VCB"]
    return [(user, START + hours(hour), name) for user, hour, name in rows]


@given(
    rows=logs(),
    steps=st.lists(st.sampled_from("VCB"), min_size=2, max_size=4),
    window=st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_counts_and_medians_equal_those_of_every_choice_tried(rows, steps, window) -> None:
    found = funnel_of(rows, steps, window=hours(window)).to_json()["rows"]
    depths = funnel_depths(rows, steps, hours(window))
    for place, row in enumerate(found):
        taken = [own[place] for own in depths.values() if len(own) > place]
        assert row["users"] == len(taken)
        assert row["median_seconds"] == median_or_none(taken)
        stopped = {user for user, own in depths.items() if len(own) == place + 1 < len(steps)}
        assert row["still_open"] == len(stopped & _in_time(rows, steps[0], hours(window)))


def _in_time(rows: Sequence[Row], first: str, window: timedelta) -> set[str]:
    """Users with a start whose window ends after the log does."""
    midnight = all(ts.hour == 0 for _, ts, _ in rows)
    covered = START + hours(24) if midnight else max(ts for _, ts, _ in rows)
    return {user for user, ts, name in rows if name == first and ts + window > covered}


@given(rows=logs())
@settings(max_examples=10, deadline=None)
def test_buckets_and_row_order_change_nothing(rows) -> None:
    one = funnel_of(rows, "VCB", window=hours(5), buckets=1)
    many = funnel_of(rows[::-1], "VCB", window=hours(5), buckets=4)
    assert one.to_json() == many.to_json()


def test_a_funnel_by_hand() -> None:
    rows = rows_at("a", (0, "view"), (1, "cart"), (3, "buy"))
    rows += rows_at("b", (0, "view"), (2, "cart"))
    rows += rows_at("c", (0, "cart"), (1, "view"))  # out of order
    rows += rows_at("d", (0, "buy"))
    rows += rows_at("z", (999, "view"))
    view, cart, buy = funnel_of(rows, ["view", "cart", "buy"], window=hours(24)).to_json()["rows"]
    assert (view["users"], cart["users"], buy["users"]) == (4, 2, 1)
    assert (cart["share"], buy["share"], buy["share_of_previous"]) == (0.5, 0.25, 0.5)
    assert (cart["median_seconds"], buy["median_seconds"]) == (1.5 * 3600, 3 * 3600)
    assert [view["still_open"], cart["still_open"]] == [1, 0]


def test_the_window_is_half_open_and_counts_from_the_start() -> None:
    tick = timedelta(microseconds=1)
    rows = [("in", START, "view"), ("in", START + hours(24) - tick, "buy")]
    rows += [("out", START, "view"), ("out", START + hours(24), "buy")]
    assert funnel_of(rows, ["view", "buy"], window=hours(24)).steps["users"].to_list() == [2, 1]


def test_a_later_start_can_still_convert() -> None:
    rows = rows_at("a", (0, "view"), (40, "view"), (50, "buy"))
    table = funnel_of(rows, ["view", "buy"], window=hours(24))
    assert table.steps["users"].to_list() == [1, 1]
    assert table.steps["median_seconds"].to_list() == [0.0, 10 * 3600.0]


def test_events_of_one_instant_count_in_order_but_never_twice() -> None:
    rows = rows_at("a", (0, "buy"), (0, "cart"), (0, "view"))
    rows += rows_at("b", (0, "view"), (1, "view"))
    assert funnel_of(rows, ["view", "cart", "buy"]).steps["users"].to_list() == [2, 1, 1]
    assert funnel_of(rows, ["view", "view"]).steps["users"].to_list() == [2, 1]


def test_only_starts_in_the_range_count() -> None:
    rows = rows_at("early", (0, "view"), (30, "buy")) + rows_at("in", (24, "view"), (50, "buy"))
    span = {"since": START + hours(24), "until": START + hours(48)}
    assert funnel_of(rows, ["view", "buy"], **span).steps["users"].to_list() == [1, 1]


def test_nothing_at_or_after_as_of_is_read() -> None:
    rows = rows_at("a", (0, "view"), (5, "buy")) + rows_at("b", (0, "view"), (1, "buy"))
    assert funnel_of(rows, ["view", "buy"], START + hours(5)).steps["users"].to_list() == [2, 1]


def test_a_misspelt_step_is_named_with_its_neighbour() -> None:
    rows = rows_at("a", (0, "view"), (5, "buy"))
    with pytest.raises(UsageError, match=r"step 'veiw': no such event in the log; did you mean"):
        funnel_of(rows, ["veiw", "buy"])
    with pytest.raises(UsageError, match="name at least two events"):
        funnel_of(rows, ["view"])
    with pytest.raises(UsageError, match="window of no length"):
        funnel_of(rows, ["view", "buy"], window=timedelta())


def test_the_funnel_is_json() -> None:
    table = funnel_of(rows_at("a", (0, "view"), (5, "buy")), ["view", "buy"])
    assert json.loads(json.dumps(table.to_json())) == table.to_json()
