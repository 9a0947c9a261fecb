"""Every feature equals the naive one and the one in SQL, on small awkward logs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import features_naive
from oracles.features_engines import ENGINES, ORACLES
from oracles.features_logs import (
    T,
    by_user,
    differences,
    events_frame,
    users_frame,
)
from oracles.features_strategies import World, logs, people, specs, worlds
from oracles.features_worked import CHURNS, FULL, PLAIN, row, whole
from oracles.sequences_naive import received_frame

from features.dictionary import dictionary, phrase
from features.eligible import eligible_plan
from features.plan import feature_plan, prepared_plan
from features.spec import FeatureSpec
from features.streams import prepare
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "test")

DAY = 24 * 60
EDGE_LOG = [
    row(0),
    row(7 * DAY),
    row(7 * DAY, "buy", amount=2.5),
    row(30 * DAY),
    row(30 * DAY + 30),
    row(30 * DAY + 61, channel=None),
    row(365 * DAY, "cancel", amount=-1.0),
    row(-1, "buy", amount=9.0),
]


def computed(log: list[dict[str, Any]], spec: FeatureSpec, users: Any) -> dict[str, Any]:
    plan = feature_plan(events_frame(log).lazy(), Cutoff(T), spec, users_frame(users).lazy())
    return by_user(collect(plan, CPU))


TOLERANCES = {"Python": 1e-9, "DuckDB": 1e-6}


def agree(world: World, *oracles: str) -> None:
    """Both engines give what the oracles give: the same people, columns and values."""
    asked = world.log, world.cutoffs, world.spec, world.users
    found = {name: compute(*asked) for name, compute in ENGINES.items()}
    for oracle in oracles:
        expected = ORACLES[oracle](*asked)
        told = {n: differences(f, expected, TOLERANCES[oracle]) for n, f in found.items()}
        assert told == {name: [] for name in ENGINES}, oracle


@settings(max_examples=50, deadline=None)
@given(world=worlds())
@example(world=World(EDGE_LOG, [T], FULL, {}))
@example(world=World([row(5)], [T], FULL, {}))
@example(world=World([row(-5)], [T], FULL, {}))
def test_every_feature_equals_the_naive_one(world: World) -> None:
    agree(world, "Python")


@settings(max_examples=15, deadline=None)
@given(world=worlds())
@example(world=World(EDGE_LOG, [T - timedelta(days=7), T], FULL, {}))
def test_every_feature_equals_the_one_in_sql(world: World) -> None:
    agree(world, "DuckDB")


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(world=worlds())
def test_every_feature_equals_both_on_many_more_logs(world: World) -> None:
    agree(world, *ORACLES)


@pytest.mark.parametrize("churn", CHURNS)
@pytest.mark.parametrize("oracle", ORACLES)
def test_no_feature_is_without_an_oracle(oracle: str, churn: str) -> None:
    spec = whole(churn)
    [values] = ORACLES[oracle](EDGE_LOG, [T], spec, {}).values()
    known = dictionary(spec)
    assert sorted(set(known) - set(values)) == [], f"not in {oracle}"
    assert sorted(set(values) - set(known)) == [], f"not in the dictionary, only in {oracle}"
    counts = {name for name, feature in known.items() if feature.unit == "count"}
    assert {name for name in counts if not isinstance(values[name], int)} == set()


@settings(max_examples=30, deadline=None)
@given(world=worlds())
def test_rows_prepared_once_serve_an_earlier_cutoff(world: World) -> None:
    """Preparing the whole log and cutting it equals cutting it first."""
    earliest = Cutoff(min(world.cutoffs))
    events, known = received_frame(world.log).lazy(), users_frame(world.users).lazy()
    whole = prepared_plan(prepare(events, world.spec), earliest, world.spec, known)
    cut = feature_plan(events, earliest, world.spec, known)
    assert differences(by_user(collect(whole, CPU)), by_user(collect(cut, CPU))) == []


@settings(max_examples=60, deadline=None)
@given(log=logs, spec=specs, users=people)
def test_the_eligible_are_those_with_features(log: Any, spec: FeatureSpec, users: Any) -> None:
    plan = eligible_plan(
        events_frame(log).lazy(), Cutoff(T), spec.definitions, users_frame(users).lazy()
    )
    expected = features_naive.features(log, T, spec, users)
    assert sorted(collect(plan, CPU)["user_id"]) == sorted(expected)


@settings(max_examples=30, deadline=None)
@given(log=logs, spec=specs, users=people)
def test_every_column_has_words(log: Any, spec: FeatureSpec, users: Any) -> None:
    known = dictionary(spec)
    for values in computed(log, spec, users).values():
        assert list(values) == list(known)
        for name, value in values.items():
            said = phrase(name, value, spec)
            assert said
            assert "{}" not in said
            assert "None" not in said


def test_a_pinned_log() -> None:
    """Worked by hand: the edges of windows belong to them, the cutoff does not."""
    a = computed(EDGE_LOG, FULL, {})["a"]
    assert a["recency_days"] == 7.0
    assert a["tenure_days"] == 365.0
    assert (a["events_7d"], a["events_30d"], a["events_90d"], a["events_365d"]) == (2, 3, 5, 6)
    assert (a["active_days_7d"], a["active_days_total"]) == (1, 3)
    assert (a["purchases_total"], a["amount_total"], a["amount_7d"]) == (2, 1.5, 2.5)
    assert (a["sessions_30d"], a["sessions_90d"], a["session_minutes_90d"]) == (2, 3, 10.0)
    assert (a["gap_mean_days"], a["gap_max_days"]) == (179.0, 335)
    assert (a["kinds_total"], a["event_total_other"], a["event_30d_view"]) == (3, 1, 2)
    assert a["channel_share_web"] == pytest.approx(5 / 6)


def test_the_first_week_ends_seven_days_after_the_first_event() -> None:
    log = [row(30 * DAY), row(23 * DAY + 1), row(23 * DAY), row(7 * DAY), row(1)]
    values = computed(log, FULL, {})["a"]
    assert (values["events_first_week"], values["last_week_over_first"]) == (2, 1.0)


def test_a_log_with_amounts_and_kinds_has_sixty_features() -> None:
    dates_only = {"has_times": False, "has_channels": False, "pools_events": False}
    least = replace(FULL, **dates_only)
    assert len(dictionary(least)) >= 60


def test_huge_amounts_stay_finite() -> None:
    log = [row(5, "buy", amount=1e300), row(6, "buy", amount=1e300), row(9, "buy", amount=-1e300)]
    values = computed(log, FULL, {})["a"]
    assert values["amount_max"] == 1e30
    assert all(abs(v) < 3e38 for v in values.values() if v is not None)


def test_what_a_log_lacks_is_left_out() -> None:
    bare = FeatureSpec((), (), (), *(False,) * 6, 30, "UTC", PLAIN)
    values = computed([row(5), row(10)], bare, {})["a"]
    assert values["events_total"] == 2
    assert not any(name.startswith(("amount", "event_", "session", "kinds")) for name in values)


def test_columns_are_whole_numbers_or_floats() -> None:
    frame = collect(feature_plan(events_frame(EDGE_LOG).lazy(), Cutoff(T), FULL, None), CPU)
    assert set(frame.drop("user_id").dtypes) <= {pl.Int64(), pl.Float64()}


@given(st.lists(st.text(max_size=50), unique=True, max_size=12).map(tuple))
def test_names_of_any_characters_give_different_safe_columns(names: tuple[str, ...]) -> None:
    spec = replace(FULL, events=names, channels=names)
    columns = list(dictionary(spec))
    assert len(columns) == len({c.lower() for c in columns})
    assert all(c.replace("_", "").isalnum() for c in columns)
