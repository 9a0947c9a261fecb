"""One definition: passive churn is one minus the bracket retention of the same users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_world import Row, at, settings_in, write_store

from events.contract import TIME
from events.store import EventStore, open_store
from events.users import VALID_FROM
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.labels import label_plan
from features.time import Cutoff
from retention.curve import retention
from retention.drill import Figure, write_users
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Settings
from runtime.tables import TableKind, rewrite

CPU = Device("cpu", "a test")
START = at("2024-03-01")


def churned(chosen: Settings, store: EventStore, cutoff: Cutoff) -> tuple[int, int]:
    """Of those eligible at the cutoff: how many, and how many are labelled as churned."""
    eligible = eligible_plan(store.scan_all(), cutoff, Definitions.of(chosen), None)
    labels = label_plan(store.scan_all(), cutoff, chosen, None).join(eligible, on="user_id")
    frame = collect(labels.select(users=pl.len(), churned=pl.col("churn").sum()), CPU)
    users, lost = frame.row(0)
    return users, int(lost or 0)


LOGS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.sampled_from(["view", "mail"])),
    min_size=8,
    max_size=60,
)
TOLD_APART = ({}, {"by": "tier"}, {"by": "tier", "top": 1}, {"by": "joined"})


def with_users(folder: Path, rows: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The section of a users table whose attributes change, and the table where it is read."""
    frame = pl.DataFrame(
        [(user, START + timedelta(days=n), tier, float(n)) for n, (user, tier) in enumerate(rows)],
        schema={"user_id": pl.String, VALID_FROM: TIME, "tier": pl.String, "joined": pl.Float64},
        orient="row",
    )
    held = [frame.with_columns(bucket=pl.lit(n, pl.Int32)) for n in (0, 1)]
    kind = TableKind("users", 1, dict(held[0].schema), ("bucket",))
    rewrite(folder / "store" / "users", kind, held, {})
    named = {"path": "u.csv", "columns": {"user_id": "u"}, "valid_from": "v"}
    return {"users": named | {"attributes": ["tier", "joined"]}}


@given(
    rows=LOGS,
    people=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y"])), max_size=9),
    cutoff_at=st.integers(1, 40),
    gap=st.integers(0, 1).map(lambda weeks: 7 * weeks),
    horizon=st.integers(1, 2).map(lambda weeks: 7 * weeks),
    how=st.sampled_from(TOLD_APART),
    cohort=st.sampled_from([None, "day", "week", "month"]),
    period=st.sampled_from(["day", "week"]),
    split=st.booleans(),
    back=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_the_promise_survives_every_option_that_asks_for_the_same_users(
    rows, people, cutoff_at, gap, horizon, how, cohort, period, split, back, tmp_path_factory
) -> None:
    """Told apart by an attribute, the top values and the rest pooled, in any cohorts, by weeks of
    the elapsed clock, split in brackets with the users of each listed, with the activity named in
    the call: the lost of all groups together are those labelled as churned."""
    log: list[Row] = [("first", START, "view"), ("last", START + timedelta(days=60), "view")]
    log += [(user, START + timedelta(hours=12 * n), name) for user, n, name in rows]
    folder = tmp_path_factory.mktemp("churn")
    chosen = settings_in(
        folder,
        activity={"events": ["view"]},
        churn={"kind": "passive", "horizon_days": horizon, "gap_days": gap},
        **with_users(folder, people),
    )
    write_store(chosen, log, files=2 if split else 1)
    store = open_store(chosen)
    cutoff = Cutoff(START + timedelta(hours=12 * cutoff_at))
    users, lost = churned(chosen, store, cutoff)
    unit = 7 if period == "week" else 1
    brackets = [(gap // unit, (gap + horizon) // unit - 1)]
    asked = {"anchor": cutoff, "clock": "elapsed", "period": period, "cohort": cohort, **how}
    named = {"back": ["view"]} if back else {}
    table = retention(chosen, store, CPU, brackets=brackets, **asked, **named)
    (cell,) = table.overall.to_dicts()
    assert (cell["users"], cell["users"] - cell["retained"]) == (users, lost)
    whole = table.groups if how else table.overall
    assert whole["users"].sum() - whole["retained"].sum() == lost
    path = folder / "lost.csv"
    assert write_users(path, table, Figure(cell["cell"], lost=True), store, CPU) == lost


@given(
    rows=LOGS,
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
