"""Layers, tags, movements, activity and RFM equal DuckDB's on random logs; what holds of them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from fractions import Fraction
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import lifecycle_duckdb
from oracles.retention_world import at, settings_in, write_store

from events.contract import TIME
from events.store import EventStore, open_store
from retention import instants
from retention.activity import SPREAD, activity
from retention.instants import instants_of
from retention.layers import Layers, layers
from retention.lifecycle import STATES, lifecycle
from retention.lifecycle_users import Chosen, layer_users, state_users
from retention.order_statistics import order_statistics
from retention.rfm import PARTS, rfm
from retention.stickiness import stickiness
from runtime.cluster_kinds import LocalProcesses
from runtime.device import Device
from runtime.settings import Settings
from runtime.settings_lifecycle import LAYERS, MEASURES, TAGS

CPU = Device("cpu", "a test")
ZONES = ("UTC", "Asia/Shanghai", "America/Los_Angeles", "Europe/Berlin")
SCHEMA = {
    "user_id": pl.String(),
    "ts": TIME,
    "event": pl.String(),
    "amount": pl.Float64(),
    "received": TIME,
}


@st.composite
def logs(draw: st.DrawFn, days: int = 40) -> pl.DataFrame:
    """Few users, half-days, equal prices: many ties. In some logs events arrive late."""
    start = at("2024-03-10T16:00")
    quarters = st.integers(0, days * 2)
    late = st.none()
    if draw(st.booleans()):
        late = st.one_of(st.none(), st.none(), st.integers(1, 20))
    row = st.tuples(
        st.sampled_from("abcdefghijkl"),
        quarters,
        st.sampled_from(["view", "view", "buy", "mail"]),
        st.sampled_from([None, 0.0, 1.5, 2.0, 8.0, -1.0]),
        late,
        st.sampled_from([0, 0, 10, 30, 45]),
    )
    rows = draw(st.lists(row, min_size=1, max_size=90))
    told = []
    for user, n, name, amount, wait, minutes in rows:
        ts = start + timedelta(hours=12 * n, minutes=minutes)
        received = None if wait is None else ts + timedelta(hours=9 * wait)
        told.append((user, ts, name, amount, received))
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


def world(
    folder: str, log: pl.DataFrame, zone: str, **lifecycle: Any
) -> tuple[Settings, EventStore]:
    chosen = settings_in(
        Path(folder),
        zone,
        activity={"exclude": ["mail"]},
        value={"events": ["buy"]},
        churn={"horizon_days": 10},
        lifecycle=lifecycle,
    )
    return chosen, write_store(chosen, log, 2)


@given(
    log=logs(),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(["day", "week", "month"]),
    window=st.sampled_from([None, 3, 10]),
)
@settings(max_examples=20, deadline=None)
def test_layers_tags_and_movements_equal_duckdbs(log, zone, period, window) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone, window_days=window)
        found = layers(chosen, store, CPU, period)
        told = lifecycle_duckdb.standing(log, chosen, store, period)
        equal_layers(found, told)
        equal_tags(found, told)
        equal_movements(found, told)
        holds_together(found)


def equal_layers(found: Layers, told: pl.DataFrame) -> None:
    sizes = Counter(told.select("period", "layer").rows())
    mine = found.layers.filter(pl.col("users") > 0).select("period", "layer", "users").rows()
    assert {row[:2]: row[2] for row in mine} == dict(sizes)
    money = told.group_by("period", "layer").agg(pl.col("value_total", "value_recent").sum())
    expected = {(p, name): sums for p, name, *sums in money.rows()}
    for row in found.layers.to_dicts():
        sums = expected.get((row["period"], row["layer"]), [0, 0])
        assert [row["value"], row["value_recent"]] == pytest.approx(sums)


def equal_tags(found: Layers, told: pl.DataFrame) -> None:
    for tag in (rule.name for rule in TAGS):
        sizes = dict(told.group_by("period").agg(pl.col(f"#{tag}").sum()).rows())
        mine = found.tags.filter(pl.col("tag") == tag)
        assert dict(mine.select("period", "users").rows()) == {
            p: sizes.get(p, 0) for p in mine["period"]
        }


def equal_movements(found: Layers, told: pl.DataFrame) -> None:
    counts: Counter[tuple[Any, ...]] = Counter()
    stood: dict[str, str] = {}
    held = dict.fromkeys((rule.name for rule in TAGS), frozenset())
    moved = {}
    periods = found.layers["period"].unique().sort()
    for period in periods:
        here = told.filter(pl.col("period") == period)
        now = dict(here.select("user_id", "layer").rows())
        counts.update((period, stood.get(user), layer) for user, layer in now.items())
        stood = now
        for tag, before in held.items():
            after = frozenset(here.filter(pl.col(f"#{tag}"))["user_id"])
            moved[period, tag] = (len(after - before), len(after & before), len(before - after))
            held[tag] = after
    columns = ("period", "from", "to", "users")
    assert {row[:3]: row[3] for row in found.movements.select(columns).rows()} == dict(counts)
    columns = ("period", "tag", "gained", "kept", "lost")
    assert {row[:2]: row[2:] for row in found.tag_movements.select(columns).rows()} == moved


def holds_together(found: Layers) -> None:
    """Movements sum to the layers at both ends; nobody leaves."""
    sizes: dict[str, int] = {}
    for period in found.layers["period"].unique().sort():
        moves = found.movements.filter(pl.col("period") == period)
        now = found.layers.filter(pl.col("period") == period)
        came = dict(moves.group_by("to").agg(pl.col("users").sum()).rows())
        went = dict(moves.group_by("from").agg(pl.col("users").sum()).rows())
        entered = went.pop(None, 0)
        assert {k: v for k, v in sizes.items() if v} == went
        sizes = dict(now.select("layer", "users").rows())
        assert {k: v for k, v in sizes.items() if v} == came
        assert sum(sizes.values()) == sum(went.values()) + entered
        if now["users"].sum():
            assert now["share"].sum() == pytest.approx(1)
    tags = found.tag_movements.join(found.tags, on=["period", "tag"])
    assert (tags["users"] == tags["users_right"]).all()


@given(log=logs(), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week"]))
@settings(max_examples=8, deadline=None)
def test_the_list_of_a_layer_has_the_oracles_measures(log, zone, period) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone)
        told = lifecycle_duckdb.standing(log, chosen, store, period)
        last = told.filter(pl.col("period") == told["period"].max())
        for name in last["layer"].unique():
            path = Path(folder, "users.csv")
            rows = layer_users(chosen, store, CPU, path, Chosen(layer=name, period=period))
            found = pl.read_csv(path, schema_overrides={"user_id": pl.String()}).sort("user_id")
            expected = last.filter(pl.col("layer") == name).sort("user_id")
            assert found["user_id"].to_list() == expected["user_id"].to_list()
            assert rows == expected.height
            for measure in MEASURES:
                mine = found[measure].cast(pl.Float64).to_list()
                assert mine == pytest.approx(expected[measure].cast(pl.Float64).to_list()), measure


@given(log=logs(), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week", "month"]))
@settings(max_examples=20, deadline=None)
def test_activity_equals_duckdbs(log, zone, period) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone)
        told = lifecycle_duckdb.activity(log, chosen, store, period)
        before = 0
        states = lifecycle(chosen, store, CPU, period).periods.to_dicts()
        found = activity(chosen, store, CPU, period).periods.to_dicts()
        for row, state in zip(found, states, strict=True):
            expected = told.get(row["period"], {"users": 0, "renewed": 0})
            assert (row["users"], row["renewed"]) == (expected["users"], expected["renewed"])
            assert (row["users"], row["renewed"]) == (state["active"], state["returning"])
            for name in (f"{d}_{q}" for d in SPREAD for q in ("mean", "median", "p90")):
                hidden = not row["complete"] or (store.date_only and name.startswith("depth"))
                assert row[name] == (None if hidden else pytest.approx(expected.get(name)))
            known = row["complete"] and before
            assert row["renewal"] == (pytest.approx(row["renewed"] / before) if known else None)
            before = row["users"]


@given(log=logs(), zone=st.sampled_from(ZONES), parts=st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_rfm_equals_duckdbs(log, zone, parts) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone, rfm={"parts": parts})
        moment = store.covered_until
        told = lifecycle_duckdb.rfm(log, chosen, store, moment)
        if not told:
            return
        found = rfm(chosen, store, CPU)
        cells = {row[:3]: row[3:] for row in found.cells.select(*PARTS, "users", "value").rows()}
        assert {cell: users for cell, (users, _) in cells.items()} == {
            cell: users for cell, (users, _) in told.items()
        }
        for cell, (_, value) in cells.items():
            assert value == pytest.approx(told[cell][1])


@given(log=logs(25), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week"]))
@settings(max_examples=10, deadline=None)
def test_an_instant_in_the_past_is_what_it_was_then(log, zone, period) -> None:
    """Nothing at or after an instant changes what is told of it, thresholds included."""
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone)
        whole = layers(chosen, store, CPU, period)
        heard = log.select(pl.max_horizontal("ts", "received").min()).item()
        told = pl.col("complete") & (pl.col("at") > heard)
        ends = whole.layers.filter(told).select("period", "at").unique().sort("at")
        for begun, end in ends.gather_every(max(ends.height // 2, 1)).rows():
            then = open_store(chosen, end)
            if then.covered_until != end or then.first != store.first:
                continue  # the log would end, or begin, on another day
            past = layers(chosen, then, CPU, period)
            for name in ("layers", "tags", "movements", "tag_movements"):
                now = getattr(whole, name).filter(pl.col("period") <= begun)
                assert getattr(past, name).equals(now)


def test_the_number_of_buckets_and_of_passes_changes_nothing(monkeypatch, tmp_path) -> None:
    log = example(200)
    chosen, store = world(str(tmp_path / "three"), log, "Europe/Berlin")
    whole = layers(chosen, store, CPU, "day").to_json()
    monkeypatch.setattr(instants, "MOST_AT_ONCE", 7)
    assert layers(chosen, store, CPU, "day").to_json() == whole
    sections = ("activity", "value", "churn", "lifecycle")
    same = {name: getattr(chosen, name).model_dump() for name in sections}
    other = settings_in(tmp_path / "one", "Europe/Berlin", **same)
    shuffled = write_store(other, log.sample(fraction=1, shuffle=True, seed=1), 1)
    assert layers(other, shuffled, CPU, "day").to_json() == whole
    assert activity(other, shuffled, CPU).to_json() == activity(chosen, store, CPU).to_json()
    assert rfm(other, shuffled, CPU).to_json() == rfm(chosen, store, CPU).to_json()


@pytest.mark.slow
def test_a_cluster_finds_the_same(tmp_path) -> None:
    chosen, store = world(str(tmp_path), example(120), "Asia/Shanghai")
    over = LocalProcesses(2)
    for count in (layers, lifecycle, activity):
        here = count(chosen, store, CPU, "week").to_json()
        assert count(chosen, store, CPU, "week", cluster=over).to_json() == here
    assert rfm(chosen, store, CPU, cluster=over).to_json() == rfm(chosen, store, CPU).to_json()
    assert (
        stickiness(chosen, store, CPU, cluster=over).to_json()
        == stickiness(chosen, store, CPU).to_json()
    )


def example(rows: int) -> pl.DataFrame:
    start = at("2024-01-01T05:00")
    return pl.DataFrame(
        [
            (
                f"u{n * n % 17}",
                start + timedelta(hours=n * 37 % 1200),
                ("view", "buy", "view", "mail")[n % 4],
                float(n % 5) if n % 4 == 1 else None,
                None,
            )
            for n in range(rows)
        ],
        schema=SCHEMA,
        orient="row",
    )


@given(log=logs(20), zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week"]))
@settings(max_examples=8, deadline=None)
def test_a_range_shows_a_part_of_the_whole(log, zone, period) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone)
        ends = instants_of(store, "day", zone).at
        since, until = ends[len(ends) // 3], ends[len(ends) // 3] + timedelta(days=8)
        if since >= store.covered_until:
            return
        for count in (lifecycle, activity):
            whole = count(chosen, store, CPU, period).periods
            part = count(chosen, store, CPU, period, since=since, until=until).periods
            assert part.equals(whole.filter(pl.col("period").is_in(part["period"].implode())))
            assert part.height
        whole = layers(chosen, store, CPU, period)
        part = layers(chosen, store, CPU, period, since=since, until=until)
        for name in ("layers", "tags", "movements", "tag_movements"):
            mine = getattr(part, name)
            shown = pl.col("period").is_in(part.layers["period"].implode())
            assert mine.equals(getattr(whole, name).filter(shown))
        days = stickiness(chosen, store, CPU).days
        part = stickiness(chosen, store, CPU, since=since, until=until).days
        assert part.equals(days.filter(pl.col("day").is_in(part["day"].implode())))


@given(log=logs(12), zone=st.sampled_from(ZONES))
@settings(max_examples=10, deadline=None)
def test_the_users_of_a_state_are_as_many_as_it_says(log, zone) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(folder, log, zone)
        path = Path(folder, "users.csv")
        for row in lifecycle(chosen, store, CPU, "day").periods.tail(3).to_dicts():
            moment = at(str(row["period"])) + timedelta(hours=12)
            for state in STATES:
                if row[state] is not None and zone == "UTC":
                    users = state_users(chosen, store, CPU, state, moment, path, "day")
                    assert users == row[state] == len(path.read_text().splitlines()) - 1


@given(
    values=st.lists(
        st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.1, 1e-7]), st.floats(-1e12, 1e12)),
        min_size=1,
        max_size=60,
    ),
    shares=st.lists(st.fractions(Fraction(1, 100), 1), min_size=1, max_size=4),
)
@settings(max_examples=30, deadline=None)
def test_order_statistics_are_those_of_the_sorted_values(values, shares) -> None:
    with TemporaryDirectory() as folder:
        store = write_store(
            settings_in(Path(folder)),
            [(f"u{n}", at("2024-01-01"), "x") for n in range(len(values))],
            3,
        )
        held = {f"u{n}": value for n, value in enumerate(values)}

        def plan(events: pl.LazyFrame, _: int) -> pl.LazyFrame:
            value = pl.col("user_id").replace_strict(held, return_dtype=pl.Float64)
            place = pl.lit(0, pl.Int32)
            return events.select(place=place, key=place, value=value)

        found = order_statistics(plan, {0: shares}, store, CPU, "a test")[0, 0]
        ordered = sorted(values)
        assert found.users == len(values)
        assert list(found.values) == [ordered[ceil(s * len(values)) - 1] for s in shares]


def test_the_tables_are_json(tmp_path) -> None:
    chosen, store = world(str(tmp_path), example(60), "UTC")
    for count in (layers, activity, rfm):
        told = count(chosen, store, CPU).to_json()
        assert json.loads(json.dumps(told)) == told


def test_the_rules_stand_beside_the_numbers(tmp_path) -> None:
    chosen, store = world(str(tmp_path), example(60), "UTC")
    told = layers(chosen, store, CPU).to_json()
    assert [rule["rule"] for rule in told["layers"]] == [rule.rule for rule in LAYERS]
    assert [rule["says"] for rule in told["tags"]] == [rule.says for rule in TAGS]
    assert all(rule.says for rule in (*LAYERS, *TAGS))
