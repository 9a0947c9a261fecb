"""The users table in the features: learned from earlier users only, and churn by a date."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from oracles.features_logs import T, settings_of, write_store

from events.contract import TIME
from events.store import open_store
from events.users import USERS, users_path
from features.attributes import Attribute
from features.definitions import Definitions
from features.dictionary import phrase
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Settings, Value
from runtime.tables import TableKind, rewrite

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
BY_DATE = Churn(kind="active", date_column="left", horizon_days=10)


def row(user: str, days: int) -> dict[str, Any]:
    base = {"event": "view", "amount": None, "channel": None}
    return base | {"user_id": user, "ts": T + days * DAY}


def write_users(settings: Settings, **columns: list[Any]) -> None:
    count = len(columns["user_id"])
    frame = pl.DataFrame(columns, strict=False).with_columns(
        pl.col("left").cast(TIME), bucket=pl.lit(0, dtype=pl.Int32)
    )
    assert frame.height == count
    kind = TableKind(USERS.name, USERS.version, dict(frame.schema), USERS.partition_by)
    rewrite(users_path(settings), kind, [frame])


def project(folder: Path, **columns: list[Any]) -> Settings:
    meant = Definitions(Activity(), Eligible(), BY_DATE, Value())
    settings = settings_of(meant, folder)
    write_store(settings, [row("a", -9), row("b", -8), row("c", -7), row("late", 5), row("a", 20)])
    write_users(settings, **columns)
    return settings


def learned(settings: Settings) -> FeatureSpec:
    return learn_spec(open_store(settings), Cutoff(T), settings)


def test_attributes_are_learned_from_earlier_users_only(tmp_path: Path) -> None:
    settings = project(
        tmp_path,
        user_id=["a", "b", "c", "late", "never seen"],
        age=["30", None, "41.5", "unknown", "x"],
        plan=["gold", "free", "free", "platinum", "silver"],
        left=[None] * 5,
    )
    expected = (Attribute("age", "number"), Attribute("plan", "category", ("free", "gold")))
    assert learned(settings).attributes == expected


def test_attributes_become_columns_and_dates_become_labels(tmp_path: Path) -> None:
    settings = project(
        tmp_path,
        user_id=["a", "b", "c"],
        age=[30.0, None, 41.5],
        plan=["gold", None, "free"],
        left=[T + 3 * DAY, None, T - DAY],
    )
    spec = learned(settings)
    store = open_store(settings)
    found = read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, True))
    known = found.select("user_id", "user_age", "user_plan_is_gold", "user_plan_is_free", "churn")
    assert known.rows() == [("a", 30.0, 1, 0, 1), ("b", None, 0, 0, 0)]  # c has left already
    assert phrase("user_plan_is_gold", 1, spec) == "plan is gold"
    assert phrase("user_plan_is_gold", 0, spec) == "plan is not gold"
    assert phrase("user_age", None, spec) == "age is unknown"


def test_a_column_without_values_is_left_out(tmp_path: Path) -> None:
    settings = project(tmp_path, user_id=["a"], age=[None], plan=["x"], left=[None])
    assert [a.name for a in learned(settings).attributes] == ["plan"]


def test_attributes_named_like_computed_columns_stay_apart(tmp_path: Path) -> None:
    settings = settings_of(
        Definitions(Activity(), Eligible(), BY_DATE, Value()),
        tmp_path,
        users={"path": "u", "columns": {"user_id": "u"}, "dates": ["left"]}
        | {"attributes": ["events", "number", "events is", "events_"]},
    )
    write_store(settings, [row("a", -9), row("a", -3), row("a", 20)])
    values = {"events": [7.0], "number": [8.0], "events is": ["x"], "events_": [9.0]}
    write_users(settings, user_id=["a"], left=[None], **values)
    spec = learned(settings)
    store = open_store(settings)
    found = read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, False)).row(0, named=True)
    assert found["events_total"] == 2
    assert (found["user_events"], found["user_number"], found["user_events_2"]) == (7.0, 8.0, 9.0)
    assert found["user_events_is_is_x"] == 1
