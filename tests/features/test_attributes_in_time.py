"""A users table with several rows a user, each valid from its instant until the next one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from gpu_python import translated
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ingest_tools import HEAD, put, settings_in, table
from oracles.features_logs import T, settings_of, write_store

from events.contract import TIME
from events.ingest import ingest
from events.store import open_store
from events.users import USERS, VALID_FROM, users_path
from features.attributes import Attribute, valid_at
from features.definitions import Definitions
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import InputError, SettingsError
from runtime.settings import Activity, Churn, Eligible, Settings, Value
from runtime.tables import TableKind, rewrite

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
IN_FILE: dict[str, Any] = {
    "path": "known/users.csv",
    "columns": {"user_id": "id"},
    "attributes": ["age", "plan"],
    "dates": ["left"],
    "valid_from": "since",
    "timezone": "Europe/Berlin",
}
TABLE = "id,since,age,plan,left\n7,2024-03-02,40, gold,\n7,,39,free,\n8,2024-03-01,50,free,\n"


def in_time(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "age": pl.Float64, "plan": pl.String, "left": TIME}
    return pl.DataFrame(rows, schema=schema | {VALID_FROM: TIME})


def project(folder: Path, rows: list[dict[str, Any]], users: tuple[str, ...]) -> Settings:
    meant = Definitions(
        Activity(), Eligible(), Churn(kind="active", date_column="left", horizon_days=10), Value()
    )
    settings = settings_of(meant, folder)
    base = {"event": "view", "amount": None, "channel": None}
    log = [base | {"user_id": u, "ts": T + n * DAY} for u in users for n in (-40, -9, 5, 25, 40)]
    write_store(settings, log)
    frame = in_time(rows).with_columns(bucket=pl.lit(0, dtype=pl.Int32))
    kind = TableKind(USERS.name, USERS.version, dict(frame.schema), USERS.partition_by)
    rewrite(users_path(settings), kind, [frame])
    return settings


moments = st.none() | st.sampled_from([T + n * DAY for n in range(-3, 4)])


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    versions=st.dictionaries(
        st.tuples(st.sampled_from("abc"), moments), st.none() | st.integers(0, 9).map(float)
    ),
    at=st.sampled_from([T + n * DAY for n in range(-4, 5)]),
)
def test_valid_at_is_the_latest_row_from_strictly_before(versions: Any, at: datetime) -> None:
    rows = [{"user_id": u, "age": age, VALID_FROM: since} for (u, since), age in versions.items()]
    early = datetime.min.replace(tzinfo=UTC)
    expected: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: row[VALID_FROM] or early):
        if row[VALID_FROM] is None or row[VALID_FROM] < at:
            expected[row["user_id"]] = row["age"]
    found = collect(valid_at(in_time(rows[::-1]).lazy(), at), CPU)
    assert VALID_FROM not in found.columns
    assert found.height == len(expected)
    assert dict(found.select("user_id", "age").iter_rows()) == expected


def test_a_table_without_times_is_what_it_is() -> None:
    plain = in_time([{"user_id": "a", "age": 1.0}]).drop(VALID_FROM)
    assert collect(valid_at(plain.lazy(), T), CPU).equals(plain)


def test_features_read_what_was_valid_at_each_cutoff(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": "a", "plan": "free", "age": 1.0, VALID_FROM: None},
        {"user_id": "a", "plan": "gold", "age": 2.0, VALID_FROM: T - 20 * DAY},
        {"user_id": "a", "plan": "late", "age": 3.0, VALID_FROM: T},
        {"user_id": "b", "plan": "late", "age": 4.0, VALID_FROM: T + DAY},
    ]
    settings = project(tmp_path, rows, ("a", "b"))
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    plan = Attribute("plan", "category", ("free", "gold"))  # both were valid once, 'late' was not
    assert spec.attributes == (Attribute("age", "number"), plan)
    at = [Cutoff(T - 20 * DAY), Cutoff(T)]
    found = read(build_snapshots(settings, store, at, spec, CPU, False))
    told = found.select("user_id", "user_age", "user_plan_is_free", "user_plan_is_gold").rows()
    assert told == [("a", 1.0, 1, 0), ("b", None, 0, 0), ("a", 2.0, 0, 1), ("b", None, 0, 0)]


def test_eligibility_reads_the_date_known_then_and_labels_the_latest(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        # left before T, came back after: at T the user was gone
        {"user_id": "gone", "left": T - 2 * DAY, VALID_FROM: T - 2 * DAY},
        {"user_id": "gone", "left": None, VALID_FROM: T + 2 * DAY},
        # left before T, and that was written down only later
        {"user_id": "told late", "left": None, VALID_FROM: None},
        {"user_id": "told late", "left": T - 2 * DAY, VALID_FROM: T + DAY},
        {"user_id": "leaves", "left": None, VALID_FROM: None},
        {"user_id": "leaves", "left": T + 3 * DAY, VALID_FROM: T + 3 * DAY},
    ]
    settings = project(tmp_path, rows, ("gone", "told late", "leaves"))
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    found = read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, True))
    assert found.select("user_id", "churn").rows() == [("leaves", 1), ("told late", 0)]


def test_labels_read_nothing_that_is_valid_from_the_as_of_on(tmp_path: Path) -> None:
    left: list[dict[str, Any]] = [
        {"user_id": "a", "left": T + 3 * DAY, VALID_FROM: T + 4 * DAY},
        {"user_id": "a", "left": None, VALID_FROM: T + 30 * DAY},  # came back
    ]
    settings = project(tmp_path, left, ("a",))
    for as_of, churn in ((T + 30 * DAY, 1), (T + 30 * DAY + timedelta(microseconds=1), 0)):
        store = open_store(settings, as_of)
        spec = learn_spec(store, Cutoff(T), settings)
        found = read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, True))
        assert found["churn"].to_list() == [churn]


def test_a_file_with_several_rows_a_user_is_kept_whole(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", HEAD + "1,7,2024-03-01 10:00:00,view,\n")
    put(tmp_path, "known/users.csv", TABLE)
    ingest(settings_in(tmp_path, users=IN_FILE))
    found = table(tmp_path, "users").sort("user_id", VALID_FROM)
    assert found.select("user_id", VALID_FROM, "age", "plan").rows() == [
        ("7", None, 39.0, "free"),
        ("7", datetime(2024, 3, 1, 23, tzinfo=UTC), 40.0, " gold"),
        ("8", datetime(2024, 2, 29, 23, tzinfo=UTC), 50.0, "free"),
    ]


def test_a_number_reads_alike_whatever_a_later_row_holds(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", HEAD + "1,7,2024-03-01 10:00:00,view,\n")
    put(tmp_path, "known/users.csv", TABLE.replace("40,", " 40 ,") + "8,2025-01-01,old,free,\n")
    ingest(settings_in(tmp_path, users=IN_FILE))
    assert table(tmp_path, "users").sort("user_id", VALID_FROM)["age"][1] == "40"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("7,2024-03-02,1,x,\n", "user id '7' has several rows that are valid from the same inst"),
        ("7,,1,x,\n", "user id '7' has several rows that are valid from the same instant"),
        ("9,soon,1,x,\n", "column 'since': unreadable time 'soon'"),
    ],
)
def test_two_rows_of_one_instant_are_refused(tmp_path: Path, rows: str, words: str) -> None:
    put(tmp_path, "log.csv", HEAD + "1,7,2024-03-01 10:00:00,view,\n")
    put(tmp_path, "known/users.csv", TABLE + rows)
    with pytest.raises(InputError, match=words):
        ingest(settings_in(tmp_path, users=IN_FILE))


@pytest.mark.parametrize(
    "changes",
    [{"attributes": ["Since"]}, {"dates": ["valid_from"]}, {"attributes": ["Valid_From"]}],
)
def test_the_column_of_validity_is_nothing_else(tmp_path: Path, changes: Any) -> None:
    with pytest.raises(SettingsError, match="since when a row holds"):
        settings_in(tmp_path, users=IN_FILE | changes)


@pytest.mark.gpu_plans
def test_the_plans_over_users_in_time_translate_to_cudf() -> None:
    found = translated("attributes_translate.py")
    assert found["noticed"]
    assert found["failed"] == {}
