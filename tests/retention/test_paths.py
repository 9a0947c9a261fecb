"""Paths: cases worked by hand, each figure with its drill-down, and calls that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from oracles.retention_world import at, settings_in, write_store
from oracles.worked_cases import Case, cases_in

from events.store import EventStore, open_store
from features.time import Cutoff, Window
from retention.path_nodes import Nodes, node_text, split
from retention.path_question import Asked
from retention.path_rows import user_numbers
from retention.path_users import users_of
from retention.paths import Paths, paths
from runtime.clock import parse_instant
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings

CPU = Device("cpu", "a test")
CASES = cases_in(Path(__file__).parent / "cases" / "paths.toml")
LOG = [
    ("a", at("2024-05-01T10:00"), "view"),
    ("a", at("2024-05-01T10:01"), "cart"),
    ("a", at("2024-05-01T10:02"), "buy"),
    ("b", at("2024-05-01T10:00"), "view"),
]


def world(case: Case, folder: Path) -> tuple[Settings, EventStore]:
    log = case.log
    if case.ask.get("spaces"):
        log = log.with_columns(pl.col("event").str.replace_all("_", " "))
    settings = settings_in(folder, case.zone, **case.settings)
    write_store(settings, log)
    until = case.ask.get("as_of")
    return settings, open_store(settings, until and parse_instant(until, case.zone))


def asked(case: Case) -> Asked:
    ask = dict(case.ask)
    instants = {
        name: parse_instant(ask[name], case.zone) for name in ("since", "until_date") if name in ask
    }
    kept = {
        name: ask[name] for name in ("per", "steps", "top", "collapse", "events") if name in ask
    }
    return Asked(start=ask.get("from"), until=ask.get("until"), **kept, **instants)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Case, tmp_path: Path) -> None:
    settings, store = world(case, tmp_path)
    found = paths(settings, store, CPU, asked(case))
    expect = dict(case.expect)
    told = {
        "paths": found.paths.select("path", "count", "users"),
        "transitions": found.transitions.select("step", "from", "to", "count", "users"),
        "nodes": found.nodes.select("step", "node", "count", "users"),
    }
    for name, frame in told.items():
        if name in expect:
            assert sorted(map(list, frame.iter_rows())) == sorted(expect.pop(name))
    for name in ("kept", "pooled"):
        if name in expect:
            assert list(getattr(found, name)) == expect.pop(name)
    for name in ("count", "users", "per"):
        if name in expect:
            assert getattr(found, name) == expect.pop(name)
    assert not expect, f"{case.name}: nothing looks at {sorted(expect)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_figure_of_a_case_agrees_with_its_drill_down(case: Case, tmp_path: Path) -> None:
    """Counts in a path that disagree with their own drill-down: PostHog #32772."""
    settings, store = world(case, tmp_path)
    question = asked(case)
    found = paths(settings, store, CPU, question)
    file = tmp_path / "users.csv"
    for row in found.paths.to_dicts():
        way = users_of(settings, store, CPU, question, path=row["path"], file=file)
        assert (way.count, way.users) == (row["count"], row["users"])
        agrees(file, row)
    for row in found.transitions.to_dicts():
        way = users_of(
            settings,
            store,
            CPU,
            question,
            transition=f"{row['from']} > {row['to']}",
            step=row["step"],
            file=file,
        )
        assert (way.count, way.users) == (row["count"], row["users"])
        agrees(file, row)


def agrees(file: Path, row: dict) -> None:
    listed = pl.read_csv(file, schema_overrides={"user_id": pl.String})
    assert listed["user_id"].n_unique() == listed.height == row["users"]
    assert listed["count"].sum() == row["count"]


def world_of(folder: Path, **sections: object) -> tuple[Settings, EventStore]:
    settings = settings_in(folder, **sections)
    return settings, write_store(settings, LOG)


def test_the_beginning_of_paths_is_drilled_into(tmp_path: Path) -> None:
    """view > cart begins one path, view two; a transition at any step counts each."""
    settings, store = world_of(tmp_path)
    way = users_of(settings, store, CPU, path="view")
    assert (way.kind, way.count, way.users) == ("beginning", 2, 2)
    way = users_of(settings, store, CPU, path="view > cart")
    assert (way.kind, way.count, way.users) == ("beginning", 1, 1)
    way = users_of(settings, store, CPU, Asked(until="buy"), path="cart > buy")
    assert (way.kind, way.count, way.users) == ("ending", 1, 1)
    way = users_of(settings, store, CPU, transition="view > (still open)")
    assert (way.step, way.count, way.users) == (None, 1, 1)


def test_a_transition_at_any_step_counts_every_time(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    names = ["x", "y", "x", "y"]
    rows = [("a", at(f"2024-05-01T10:0{n}"), name) for n, name in enumerate(names)]
    store = write_store(settings, rows)
    way = users_of(settings, store, CPU, transition="x > y")
    assert (way.count, way.users) == (2, 1)
    assert users_of(settings, store, CPU, transition="x > y", step=3).count == 1


def test_the_pooled_node_is_drilled_into(tmp_path: Path) -> None:
    settings, store = world_of(tmp_path)
    question = Asked(top=1)
    file = tmp_path / "users.parquet"
    way = users_of(settings, store, CPU, question, path="view > (other events)", file=file)
    assert (way.count, way.users) == (1, 1)
    assert pl.read_parquet(file).to_dicts() == [{"user_id": "a", "count": 1}]
    way = users_of(settings, store, CPU, question, transition="(other events) > (other events)")
    assert (way.count, way.users) == (1, 1)


WRONG = {
    "unknown event": (Asked(start="veiw"), "no such event in the log; did you mean 'view'"),
    "both": (Asked(start="view", until="buy"), "--from 'view' and --until 'buy' together"),
    "0 steps": (Asked(steps=0), "steps 0 is out of range; choose 1 to 20"),
    "many steps": (Asked(steps=21), "steps 21 is out of range"),
    "0 kept": (Asked(top=0), "top 0 is out of range; choose 1 to 100"),
    "per": (Asked(per="day"), "per 'day' is not known; choose session or user"),
    "range": (
        Asked(since=at("2024-05-02"), until_date=at("2024-05-01")),
        "is not before --until-date 2024-05-01; turn them round",
    ),
    "before the log": (Asked(until_date=at("2024-04-01")), "no event from"),
    "after the log": (Asked(since=at("2025-04-01")), "no event from 2025-04-01"),
    "no activity": (Asked(start="cart"), "is no activity by [activity], so no step; add --all"),
    "left out": (Asked(until="buy"), "is left out by paths.exclude; take it out"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_call_that_cannot_be_meant_ends_in_one_line(name: str, tmp_path: Path) -> None:
    question, said = WRONG[name]
    sections = {"activity": {"exclude": ["cart"]}} if name == "no activity" else {}
    sections |= {"paths": {"exclude": ["buy"]}} if name == "left out" else {}
    settings, store = world_of(tmp_path, **sections)
    with pytest.raises(UsageError) as error:
        paths(settings, store, CPU, question)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


WRONG_WAYS = {
    "nobody": ({"path": "buy > view"}, "nobody went it; the most frequent are 'view > (still"),
    "no one at": ({"transition": "cart > buy", "step": 1}, "at step 1: nobody went it"),
    "unknown": ({"path": "view > carts"}, "no such event in the log; did you mean 'cart'"),
    "no node": ({"path": "(end of user)"}, "no node (end of user); beside events there are"),
    "pooled": ({"path": "view > cart"}, "is not among the 2 that are told apart; write (other"),
    "too long": ({"path": "view > view > view > view > view > view"}, "has 6 events, paths here"),
    "end first": ({"path": "(cut) > view"}, "only events lie between"),
    "an end within": ({"path": "view > (cut) > view"}, "only events lie between"),
    "empty": ({"path": "view > > buy"}, "an empty step"),
    "no quote": ({"path": '"view'}, "a quoted event has no closing quote"),
    "three": ({"transition": "view > cart > buy"}, "has 3 nodes; write it like"),
    "step": ({"transition": "view > cart", "step": 0}, "--at 0: no such step; choose 1 to 5"),
    "step of path": ({"path": "view", "step": 1}, "goes with --transition"),
    "neither": ({}, "name the users to list by --path or by --transition"),
    "both": ({"path": "view", "transition": "view > buy"}, "one of the two"),
    "file": ({"path": "view", "file": Path("users.txt")}, "a list is a .csv or .parquet file"),
}


@pytest.mark.parametrize("name", WRONG_WAYS)
def test_a_way_that_cannot_be_gone_ends_in_one_line(name: str, tmp_path: Path) -> None:
    settings, store = world_of(tmp_path)
    options, said = WRONG_WAYS[name]
    question = Asked(top=2) if name == "pooled" else Asked()
    with pytest.raises(UsageError) as error:
        users_of(settings, store, CPU, question, **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_event_that_is_not_in_the_range_begins_no_path(tmp_path: Path) -> None:
    settings, store = world_of(tmp_path)
    question = Asked(start="buy", until_date=at("2024-05-01T10:01:30"))
    found = paths(settings, store, CPU, question)
    assert (found.count, found.users) == (0, 0)
    assert found.paths.height == found.transitions.height == found.nodes.height == 0
    with pytest.raises(UsageError, match="there is no path at all in this range"):
        users_of(settings, store, CPU, question, path="buy")


def test_sessions_of_a_log_of_dates_are_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store = write_store(settings, [("a", at("2024-05-01"), "x"), ("a", at("2024-05-02"), "x")])
    with pytest.raises(UsageError, match="the log has dates only, so no sessions"):
        paths(settings, store, CPU, Asked(per="session"))


def test_an_unknown_event_to_leave_out_is_told(tmp_path: Path) -> None:
    settings, store = world_of(tmp_path, paths={"exclude": ["cat"]})
    with pytest.raises(UsageError, match=r"paths.exclude 'cat': no such event .* 'cart'"):
        paths(settings, store, CPU)


@pytest.mark.parametrize("name", ["a b", "a>b", '"', "(x)", " x", "", 'say "x" > y', "()", "日本"])
def test_every_name_is_read_as_it_is_written(name: str) -> None:
    nodes = Nodes((name, "b"), (), "session", backward=False)
    text = f"{node_text(name)} > b > (cut)"
    assert split(text, "path") == [node_text(name), "b", "(cut)"]
    assert nodes.codes_of(text, "path") == (1, 2, nodes.cut)


def test_sessions_are_those_of_the_features(tmp_path: Path) -> None:
    """Per user as many paths as `sessions_total` counts, whatever the pauses."""
    from features.compute import Job, bucket_rows
    from features.learn import learn_spec

    minutes = [0, 30, 61, 62, 92, 123, 400, 430]
    rows = [
        (user, at(f"2024-05-01T{10 + m // 60}:{m % 60:02d}"), ("view", "mail")[(m + n) % 3 == 0])
        for n, user in enumerate("abc")
        for m in minutes
    ]
    settings = settings_in(
        tmp_path,
        activity={"exclude": ["mail"]},
        features={"set": "one", "sets": {"one": ["sessions_total"]}, "windows_days": [7]},
    )
    write_store(settings, rows)
    store = open_store(settings, at("2024-05-02"))
    cutoff = Cutoff(store.as_of)
    spec = learn_spec(store, cutoff, settings)
    job = Job(settings, store, (cutoff,), spec, CPU)
    sessions = sum(int(bucket_rows(job, b)["sessions_total"].sum()) for b in store.buckets)
    assert paths(settings, store, CPU).count == sessions
    assert Window(7).days == spec.windows[0].days


def test_a_user_in_two_row_groups_is_one() -> None:
    """Each row group has a dictionary of its own: u2 is place 1 of the first, 0 of the second."""
    chunks = [["u1", "u2", "u2"], ["u2", "u3"], [], ["u3"], ["u4"]]
    coded = pa.chunked_array([pa.array(c, pa.string()).dictionary_encode() for c in chunks])
    assert user_numbers(coded).tolist() == [0, 1, 1, 1, 2, 2, 3]


def test_paths_that_are_not_listed_are_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retention.paths.MOST_LISTED", 1)
    settings, store = world_of(tmp_path)
    found = paths(settings, store, CPU)
    assert (found.paths.height, found.rest_paths, found.rest_count) == (1, 1, 1)
    assert found.to_json()["rest"] == {"paths": 1, "count": 1}
    assert found.count == 2


def test_the_result_is_json(tmp_path: Path) -> None:
    settings, store = world_of(tmp_path)
    found: Paths = paths(settings, store, CPU)
    told = found.to_json()
    assert json.loads(json.dumps(told)) == told
    assert told["rest"] == {"paths": 0, "count": 0}
    assert found.to_json(shown=1)["rest"] == {"paths": 1, "count": 1}
    way = users_of(settings, store, CPU, path="view").to_json()
    assert json.loads(json.dumps(way)) == way
