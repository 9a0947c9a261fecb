"""One definition: passive churn is one minus the bracket retention of the same users."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_world import Row, at, settings_in, write_store

from events.store import EventStore
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.labels import label_plan
from features.time import Cutoff
from retention.curve import retention
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Settings

CPU = Device("cpu", "a test")
START = at("2024-03-01")


def churned(chosen: Settings, store: EventStore, cutoff: Cutoff) -> tuple[int, int]:
    """Of those eligible at the cutoff: how many, and how many are labelled as churned."""
    eligible = eligible_plan(store.scan_all(), cutoff, Definitions.of(chosen), None)
    labels = label_plan(store.scan_all(), cutoff, chosen, None).join(eligible, on="user_id")
    frame = collect(labels.select(users=pl.len(), churned=pl.col("churn").sum()), CPU)
    users, lost = frame.row(0)
    return users, int(lost or 0)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.sampled_from(["view", "mail"])),
        min_size=8,
        max_size=60,
    ),
    cutoff_at=st.integers(1, 40),
    gap=st.integers(0, 3),
    horizon=st.integers(1, 12),
    within=st.sampled_from([None, 5]),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
)
@settings(max_examples=40, deadline=None)
def test_churn_is_one_minus_bracket_retention(
    rows, cutoff_at, gap, horizon, within, zone, tmp_path_factory
) -> None:
    log: list[Row] = [("first", START, "view"), ("last", START + timedelta(days=31), "view")]
    log += [(user, START + timedelta(hours=12 * n), name) for user, n, name in rows]
    chosen = settings_in(
        tmp_path_factory.mktemp("churn"),
        zone,
        activity={"exclude": ["mail"]},
        eligible={"within_days": within},
        churn={"kind": "passive", "horizon_days": horizon, "gap_days": gap},
    )
    store = write_store(chosen, log)
    cutoff = Cutoff(START + timedelta(hours=12 * cutoff_at))
    users, lost = churned(chosen, store, cutoff)
    brackets = [(gap, gap + horizon - 1)]
    table = retention(
        chosen, store, CPU, "bracket", brackets=brackets, clock="elapsed", anchor=cutoff
    )
    if not users:
        assert table.cells.is_empty()
        return
    (cell,) = table.cells.to_dicts()
    assert (cell["users"], cell["users"] - cell["retained"]) == (users, lost)
    ended = cutoff.at + timedelta(days=gap + horizon) <= store.covered_until
    assert cell["complete"] == ended
    if ended:
        assert 1 - cell["share"] == pytest.approx(lost / users, abs=1e-12)


def test_a_user_active_on_the_last_instant_of_the_horizon_stays(tmp_path: Path) -> None:
    tick = timedelta(microseconds=1)
    end = START + timedelta(days=1 + 7)
    log: list[Row] = [(user, START, "view") for user in ("in", "out")]
    log += [("in", end - tick, "view"), ("out", end, "view")]
    chosen = settings_in(tmp_path, churn={"kind": "passive", "horizon_days": 7})
    store = write_store(chosen, log)
    cutoff = Cutoff(START + timedelta(days=1))
    assert churned(chosen, store, cutoff) == (2, 1)
    table = retention(chosen, store, CPU, brackets=[(0, 6)], clock="elapsed", anchor=cutoff)
    assert table.cells.select("users", "retained", "share").rows() == [(2, 1, 0.5)]


@pytest.mark.parametrize(
    ("anchor", "since", "error"),
    [(START - timedelta(days=1), None, LabelError), (START + timedelta(days=1), START, UsageError)],
)
def test_a_cutoff_that_cannot_be_an_anchor(
    tmp_path: Path, anchor: datetime, since: datetime | None, error: type[Exception]
) -> None:
    chosen = settings_in(tmp_path)
    store = write_store(chosen, [("a", START, "view"), ("a", START + timedelta(days=2), "view")])
    with pytest.raises(error):
        retention(chosen, store, CPU, anchor=Cutoff(anchor), since=since)
