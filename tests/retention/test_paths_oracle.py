"""Paths equal plain loops and SQL on random logs with many ties; counts agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.paths_naive import (
    Plain,
    path_counts,
    path_counts_in_sql,
    paths_of,
    runs_before,
    transition_counts,
)
from oracles.retention_world import Row, at, settings_in, write_store

from events.store import EventStore, open_store
from retention.path_churn import paths_before_churn
from retention.path_keys import Keys
from retention.path_question import Asked
from retention.path_users import users_of
from retention.paths import Paths, paths
from runtime.device import Device
from runtime.settings import Settings

CPU = Device("cpu", "a test")
START = at("2024-05-01T22:00")
NAMES = ["buy", "cart", "help", "view"]


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Few instants, ten minutes apart: many ties, and gaps of exactly half an hour."""
    one = st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.sampled_from(NAMES))
    rows = draw(st.lists(one, min_size=1, max_size=40))
    # Ties of the log's last instant are still open; the first instant of all is always there.
    return [(user, START + timedelta(minutes=10 * n), name) for user, n, name in rows]


def world(
    folder: Path, rows: Sequence[Row], exclude: Sequence[str] = ()
) -> tuple[Settings, EventStore]:
    # A note that is no activity keeps the log from being one of dates only, and ends it late.
    noted = [*rows, ("z", START + timedelta(hours=7, minutes=1), "note")]
    chosen = settings_in(folder, activity={"exclude": ["note"]}, paths={"exclude": list(exclude)})
    return chosen, write_store(chosen, noted)


ASKED = st.builds(
    Asked,
    start=st.none(),
    until=st.none(),
    per=st.sampled_from(["session", "user"]),
    steps=st.sampled_from([1, 2, 3, 5, 20]),
    top=st.sampled_from([1, 2, 4, 100]),
    collapse=st.booleans(),
    events=st.none(),
    since=st.sampled_from([None, START + timedelta(minutes=70)]),
    until_date=st.sampled_from([None, START + timedelta(minutes=250)]),
)
WHERE = st.sampled_from(["start", "from", "until"])


def plain(asked: Asked, found: Paths, exclude: Sequence[str], store: EventStore) -> Plain:
    return Plain(
        per=found.per,
        steps=found.steps,
        kept=found.kept,
        end=min(asked.until_date or store.covered_until, store.covered_until),
        start=asked.start,
        until=asked.until,
        collapse=found.collapse,
        exclude=exclude,
        since=asked.since,
        earlier=asked.since is not None and asked.since > store.first,
    )


def inside(rows: Sequence[Row], asked: Asked) -> list[Row]:
    return [
        row
        for row in rows
        if (asked.since is None or row[1] >= asked.since)
        and (asked.until_date is None or row[1] < asked.until_date)
    ]


def with_origin(asked: Asked, where: str, rows: Sequence[Row]) -> Asked:
    chosen = {"from": {"start": rows[0][2]}, "until": {"until": rows[0][2]}}.get(where, {})
    return Asked(**{**asked.__dict__, **chosen})


def told(frame: pl.DataFrame, *names: str) -> dict:
    key = names[0] if len(names) == 1 else None
    return {
        (row[key] if key else tuple(row[n] for n in names)): (row["count"], row["users"])
        for row in frame.to_dicts()
    }


@given(rows=logs(), asked=ASKED, where=WHERE, exclude=st.sampled_from([(), ("help",)]))
@settings(max_examples=40, deadline=None)
def test_paths_equal_those_of_a_loop(rows, asked, where, exclude) -> None:
    rows = [row for row in rows if row[2] not in exclude or where == "start"] or [
        ("a", START, "view")
    ]
    asked = with_origin(asked, where, rows)
    with TemporaryDirectory() as folder:
        chosen, store = world(Path(folder), rows, [e for e in exclude if e in {r[2] for r in rows}])
        if asked.since is not None and store.first >= (asked.until_date or store.as_of):
            return
        if asked.until_date is not None and asked.until_date <= store.first:
            return
        found = paths(chosen, store, CPU, asked)
        expected = paths_of(inside(rows, asked), plain(asked, found, exclude, store))
    assert told(found.paths, "path") == path_counts(expected)
    assert told(found.transitions, "step", "from", "to") == transition_counts(
        expected, backward=where == "until"
    )
    assert found.count == sum(map(len, expected.values()))
    assert found.users == len(expected)
    add_up(found)


def add_up(found: Paths) -> None:
    """What goes into a node is what is at it and what goes out; paths sum to the transitions."""
    assert found.paths["count"].sum() == found.count
    came, went = {}, {}
    for row in found.transitions.to_dicts():
        went[row["step"], row["from"]] = went.get((row["step"], row["from"]), 0) + row["count"]
        came[row["step"] + 1, row["to"]] = came.get((row["step"] + 1, row["to"]), 0) + row["count"]
    first = 0 if found.origin == "until" else 1
    for row in found.nodes.to_dicts():
        place = row["step"], row["node"]
        if found.origin == "until":
            assert came[place] == row["count"]
            assert row["step"] == first or went[place] == row["count"]
        else:
            assert went[place] == row["count"]
            assert row["step"] == first or came[place] == row["count"]
    summed: dict = {}
    for row in found.paths.to_dicts():
        length = len(row["nodes"])
        for n in range(length - 1):
            step = n + 2 - length if found.origin == "until" else n + 1
            step = step - 1 if found.origin == "until" else step
            key = step, row["nodes"][n], row["nodes"][n + 1]
            summed[key] = summed.get(key, 0) + row["count"]
    assert summed == {k: c for k, (c, _) in told(found.transitions, "step", "from", "to").items()}


@given(rows=logs(), steps=st.integers(1, 4), top=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_sessions_equal_those_in_sql(rows, steps, top) -> None:
    with TemporaryDirectory() as folder:
        chosen, store = world(Path(folder), rows)
        asked = Asked(per="session", steps=steps, top=top)
        found = paths(chosen, store, CPU, asked)
        expected = path_counts_in_sql(rows, plain(asked, found, (), store))
    assert told(found.paths, "path") == expected


@given(rows=logs(), asked=ASKED, where=WHERE)
@settings(max_examples=12, deadline=None)
def test_every_figure_agrees_with_its_drill_down(rows, asked, where) -> None:
    asked = with_origin(asked, where, rows)
    with TemporaryDirectory() as folder:
        chosen, store = world(Path(folder), rows)
        if asked.until_date is not None and asked.until_date <= store.first:
            return
        found = paths(chosen, store, CPU, asked)
        expected = paths_of(inside(rows, asked), plain(asked, found, (), store))
        for row in found.paths.head(3).to_dicts():
            way = users_of(chosen, store, CPU, asked, path=row["path"], file=Path(folder, "u.csv"))
            assert (way.kind, way.count, way.users) == ("path", row["count"], row["users"])
            went = {u: n for u, p in expected.items() if (n := p.count(tuple(row["nodes"])))}
            assert listed(Path(folder, "u.csv")) == went
        for row in found.transitions.head(4).to_dicts():
            text, file = f"{row['from']} > {row['to']}", Path(folder, "u.parquet")
            way = users_of(chosen, store, CPU, asked, transition=text, step=row["step"], file=file)
            assert (way.count, way.users) == (row["count"], row["users"])
            assert pl.read_parquet(file)["count"].sum() == row["count"]
            assert pl.read_parquet(file).height == row["users"]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 90), st.sampled_from(range(40))),
        min_size=30,
        max_size=60,
    ),
    asked=st.builds(
        Asked,
        per=st.sampled_from(["session", "user"]),
        steps=st.sampled_from([7, 13, 20]),
        top=st.sampled_from([25, 100]),
        collapse=st.booleans(),
    ),
    where=WHERE,
)
@settings(max_examples=15, deadline=None)
def test_long_paths_of_many_events_equal_those_of_a_loop(rows, asked, where) -> None:
    """Their keys take several words."""
    rows = [(user, START + timedelta(minutes=10 * n), f"e{name}") for user, n, name in rows]
    asked = with_origin(asked, where, rows)
    with TemporaryDirectory() as folder:
        chosen, store = world(Path(folder), rows)
        found = paths(chosen, store, CPU, asked)
        expected = paths_of(rows, plain(asked, found, (), store))
        row = found.paths.row(0, named=True)
        way = users_of(chosen, store, CPU, asked, path=row["path"], file=Path(folder, "u.csv"))
        assert (way.count, way.users) == (row["count"], row["users"])
    assert told(found.paths, "path") == path_counts(expected)
    assert told(found.transitions, "step", "from", "to") == transition_counts(
        expected, backward=where == "until"
    )
    add_up(found)


def test_keys_of_long_paths_take_several_words() -> None:
    assert Keys(44, 20).names == ("key0", "key1")
    assert Keys(104, 20).names == ("key0", "key1", "key2")
    assert Keys(16, 5).is_small
    assert not Keys(104, 5).is_small


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 400), st.sampled_from(NAMES)),
        min_size=2,
        max_size=60,
    ),
    per=st.sampled_from(["session", "user"]),
    top=st.sampled_from([1, 2, 4]),
    days=st.sampled_from([1, 2]),
)
@settings(max_examples=25, deadline=None)
def test_runs_before_churn_equal_those_of_a_loop(rows, per, top, days) -> None:
    rows = [(user, START + timedelta(minutes=10 * n), name) for user, n, name in rows]
    rows.append(("first", START - timedelta(days=3, minutes=5), "buy"))
    rows.append(("last", START + timedelta(days=2, hours=23), "view"))  # complete to the end
    cutoff, horizon = START + timedelta(days=2), timedelta(days=1)
    with TemporaryDirectory() as folder:
        chosen = settings_in(Path(folder), churn={"horizon_days": 1})
        write_store(chosen, rows)
        store = open_store(chosen, cutoff + horizon)
        found = paths_before_churn(
            chosen,
            store,
            CPU,
            cutoff=cutoff,
            before_days=days,
            least_users=1,
            asked=Asked(per=per, top=top),
        )
    asked = Plain(found.per, 3, found.kept, cutoff, since=cutoff - timedelta(days=days))
    counts, (users, churned) = runs_before(rows, asked, cutoff, horizon)
    assert (found.users, found.churned) == (users, churned)
    assert told_churn(found.rows) == {r: c for r, c in counts.items() if c[0] < users}
    assert found.left_out == sum(c[0] == users for c in counts.values())


def told_churn(rows: pl.DataFrame) -> dict[str, tuple[int, int]]:
    return {row["path"]: (row["users"], row["churned"]) for row in rows.to_dicts()}


def listed(file: Path) -> dict[str, int]:
    return dict(pl.read_csv(file, schema_overrides={"user_id": pl.String}).iter_rows())


@pytest.mark.parametrize("buckets", [1, 3])
def test_buckets_and_files_change_nothing(tmp_path: Path, buckets: int) -> None:
    rows = [
        (user, START + timedelta(minutes=7 * n * n % 300), NAMES[(n * 7 + ord(user)) % 4])
        for user in "abcdefg"
        for n in range(30)
    ]
    asked = Asked(steps=3, top=2)
    in_one, store = tmp_path / "one", tmp_path / "two"
    chosen = settings_in(in_one)
    once = paths(chosen, write_store(chosen, rows, 1), CPU, asked)
    other = settings_in(store)
    write_store(other, rows[::2], buckets)
    apart = write_store(other, rows[1::2], buckets)  # a bucket of two files is in no order
    assert not any(apart.in_order(bucket) for bucket in apart.buckets)
    twice = paths(other, apart, CPU, asked)
    assert twice.paths.equals(once.paths)
    assert twice.transitions.equals(once.transitions)
