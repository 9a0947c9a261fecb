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
    transition_counts,
)
from oracles.retention_world import Row, at, settings_in, write_store

from events.store import EventStore
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
@settings(max_examples=70, deadline=None)
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
