"""The leak detector: every planted leak is caught, by the world that is for it; nothing else is."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles.features_logs import T, events_frame
from oracles.features_strategies import logs, moments
from oracles.planted_leaks import (
    ASKED_FOR,
    CUTOFF,
    PLANTED,
    Planted,
    Users,
    deceptive_log,
    honest,
    known,
    leaking,
    the_next_day,
)

from events.contract import TIME
from events.users import VALID_FROM
from features import leakcheck
from features.leakcheck import FAILS, Compute, check
from features.leakcheck_compare import NO_COLUMN, differences
from features.leakcheck_rows import Log, Scene, dates_of
from features.leakcheck_worlds import AGAIN, WORLDS, World
from features.time import Cutoff
from runtime.errors import InputError, LabelError

DAY = timedelta(days=1)
KINDS: tuple[Users, ...] = ("none", "plain", "in time")


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_every_planted_leak_is_caught(planted: Planted) -> None:
    found = check(leaking(planted.rule), deceptive_log(planted.users), [CUTOFF])
    assert {leak.world for leak in found.leaks} == planted.caught_by
    worst = found.leaks[0]
    assert worst.users == max(leak.users for leak in found.leaks) > 0
    assert worst.example_user
    assert worst.before != worst.after
    assert worst.cause in {world.cause for world in (*WORLDS, AGAIN)}


def test_the_planted_leaks_are_those_asked_for_and_more() -> None:
    rules = {planted.rule for planted in PLANTED}
    assert len(ASKED_FOR) == 12
    assert set(ASKED_FOR.values()) < rules
    assert len(rules) >= 14


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_no_world_is_decoration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some leak goes by unseen without it, and is seen with it alone."""
    [planted, *_] = [p for p in PLANTED if p.caught_by == {world.name}]
    compute, log = leaking(planted.rule), deceptive_log(planted.users)
    monkeypatch.setattr(leakcheck, "WORLDS", tuple(w for w in WORLDS if w is not world))
    assert check(compute, log, [CUTOFF]).leaks == ()
    monkeypatch.setattr(leakcheck, "WORLDS", (world,))
    assert {leak.world for leak in check(compute, log, [CUTOFF]).leaks} == {world.name}


@pytest.mark.parametrize("users", KINDS)
def test_honest_features_raise_no_alarm(users: Users) -> None:
    cutoffs = [Cutoff(T - 20 * DAY), CUTOFF, Cutoff(T + 11 * DAY), Cutoff(T + 100 * DAY)]
    found = check(leaking(honest), deceptive_log(users), cutoffs)
    assert found.leaks == ()
    assert len(found.features) == 8 + 3 * (users != "none")
    assert [found.users[cutoff] for cutoff in cutoffs] == [12] * 4
    assert set(found.worlds) | set(found.idle) == {world.name for world in WORLDS}
    missing = {"none": {"attributes", "strangers", "dates"}, "plain": {"attributes"}}
    assert set(found.idle) == missing.get(users, {"strangers"})


def test_the_check_is_deterministic() -> None:
    compute = leaking(the_next_day)
    one, other = (check(compute, deceptive_log("plain"), [CUTOFF]) for _ in range(2))
    assert one == other


optional = st.none() | moments
people = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(("a", "B", "nobody")),
            "age": st.none() | st.floats(-10, 200),
            "plan": st.sampled_from((None, "gold")),
            "left": optional,
            VALID_FROM: optional,
        }
    ),
    max_size=6,
    unique_by=lambda row: (row["user_id"], row[VALID_FROM]),
)


@hypothesis_settings(max_examples=25, deadline=None)
@given(log=logs, received=st.lists(optional, min_size=1, max_size=25), rows=people)
def test_a_world_agrees_with_the_log_on_all_that_was_known(
    log: Any, received: Any, rows: Any
) -> None:
    schema = {"user_id": pl.String, "age": pl.Float64, "plan": pl.String, "left": TIME}
    events = events_frame(log).drop("bucket")
    events = events.with_columns(
        received=pl.Series([received[k % len(received)] for k in range(len(log))], dtype=TIME)
    )
    users = pl.DataFrame(rows, schema=schema | {VALID_FROM: TIME})
    once = users.drop(VALID_FROM).unique("user_id", maintain_order=True)
    for table in (users, once, None):
        for variant in (events, events.drop("received")):
            scene = Scene(Log(variant, table), T)
            for world in WORLDS if scene.known.height else ():
                _agrees(world, scene)


def _agrees(world: World, scene: Scene) -> None:
    altered = world.alter(scene)
    if altered is None:
        return
    assert Scene(altered, scene.cutoff).known.equals(scene.known), world.name
    if scene.log.users is None or altered.users is None:
        assert altered.users is scene.log.users
    else:
        before, after = (
            _known_of_users(users, scene) for users in (scene.log.users, altered.users)
        )
        assert after.equals(before), world.name


def _known_of_users(users: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    if VALID_FROM in users.columns:
        users = users.filter(pl.col(VALID_FROM).is_null() | (pl.col(VALID_FROM) < scene.cutoff))
    else:
        users = users.join(scene.known, on="user_id", how="semi", maintain_order="left")
    return users.with_columns(
        pl.when(pl.col(name) < scene.cutoff).then(pl.col(name)) for name in dates_of(users)
    )


def frame(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ["b", "a"], **columns}, strict=False)


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ([1, 2], [1, 3], 1),
        ([10**17, 2], [10**17 + 1, 2], 1),
        ([1.0, 2.0], [1.0 + 1e-10, 2.0], 0),
        ([1.0, 2.0], [1.0 + 1e-8, 2.0], 1),
        ([1e9, 0.0], [1e9, 1e-4], 0),  # what is left of sums of 1e9 that cancel out
        ([1e3, 0.0], [1e3, 1e-4], 1),
        ([1, 2], [1.0, 2.5], 1),
        ([1, 2], [1.0, 2.0], 0),
        ([None, 2.0], [0.0, 2.0], 1),
        ([None, None], [None, None], 0),
        ([None, None], [1.0, None], 1),
        ([float("nan"), float("inf")], [float("nan"), float("inf")], 0),
        ([float("nan"), 1.0], [1.0, 1.0], 1),
        ([float("inf"), 1.0], [-float("inf"), 1.0], 1),
        (["x", None], ["y", None], 1),
        ([True, False], [True, True], 1),
        ([1, 2], ["1", "3"], 1),
        ([[1, 2], []], [[1, 3], []], 1),
        ([[1, 2], None], [[1, 2], None], 0),
        ([T, T], [T, T + timedelta(microseconds=1)], 1),
    ],
)
def test_values_are_compared(one: list[Any], other: list[Any], differ: int) -> None:
    told = differences(frame(x=one), frame(x=other).reverse())
    assert [(d.column, d.users) for d in told] == ([("x", 1)] if differ else [])


def test_rows_and_columns_are_compared() -> None:
    told = differences(frame(x=[1, 2]), frame(y=[3, 4]))
    assert [(d.column, d.users, d.before, d.after) for d in told] == [
        ("x", 2, 2, NO_COLUMN),
        ("y", 2, NO_COLUMN, 4),
    ]
    told = differences(frame(x=[1, 2]), frame(x=[1, 2]).head(1))
    assert [(d.column, d.example_user, d.after) for d in told] == [("user_id", "a", "no row")]
    told = differences(frame(x=[1, 2]).clear(), frame(x=[1, 2]))
    assert [(d.column, d.users, d.after) for d in told] == [("user_id", 2, "a row")]


def test_features_that_fail_in_a_world_leak() -> None:
    [planted] = [p for p in PLANTED if p.rule.__name__ == "no_such_name"]
    found = check(leaking(planted.rule), deceptive_log(), [CUTOFF])
    assert [(leak.column, leak.users, leak.before) for leak in found.leaks] == [
        (FAILS, 12, "computed")
    ]
    assert "Error: " in found.leaks[0].after


def _nobody(events: pl.LazyFrame, users: Any, cutoff: Cutoff) -> pl.DataFrame:
    return events.select("user_id", n=pl.lit(1)).head(0).collect()


def _bare(events: pl.LazyFrame, users: Any, cutoff: Cutoff) -> pl.DataFrame:
    return known(events, cutoff.at).select(pl.col("user_id").unique()).collect()


def _wrong(events: pl.LazyFrame, users: Any, cutoff: Cutoff) -> pl.DataFrame:
    return events.select("no such column").collect()


def _rows(events: pl.LazyFrame, users: Any, cutoff: Cutoff) -> pl.DataFrame:
    return events.collect()


def _nameless(events: pl.LazyFrame, users: Any, cutoff: Cutoff) -> pl.DataFrame:
    return events.select(pl.len()).collect()


@pytest.mark.parametrize(
    ("compute", "cutoff", "error", "words"),
    [
        (_nobody, CUTOFF, LabelError, "nobody has features, so nothing was checked"),
        (_bare, CUTOFF, LabelError, "there is no feature, so nothing was checked"),
        (_bare, Cutoff(T - 900 * DAY), LabelError, "nobody looked at has an event before it"),
        (_wrong, CUTOFF, InputError, "cannot be computed: ColumnNotFoundError"),
        (_rows, CUTOFF, InputError, "has several rows; return one row a user_id"),
        (_nameless, CUTOFF, InputError, "no column 'user_id'; found len"),
    ],
)
def test_a_check_of_nothing_is_no_pass(
    compute: Compute, cutoff: Cutoff, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check(compute, deceptive_log(), [cutoff])


def test_no_cutoff_is_no_pass() -> None:
    with pytest.raises(LabelError, match="there is no cutoff"):
        check(_bare, deceptive_log(), [])


def test_the_page_on_leaks_names_every_world() -> None:
    page = (Path(__file__).parents[2] / "docs" / "leaks.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named == [AGAIN.name, *(world.name for world in WORLDS)]
