"""Labels as they were known at the test cutoff."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from oracles.features_logs import T, settings_of, write_store
from polars.testing import assert_frame_equal

from events.contract import TIME
from events.store import open_store
from events.users import USERS, VALID_FROM, users_path
from features.definitions import Definitions
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Settings, Value
from runtime.tables import TableKind, rewrite
from training.hindsight import snapshots_then, without_hindsight

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
THEN = T + 20 * DAY
AT = [Cutoff(T + n * DAY) for n in (0, 5, 15, 20, 25)]  # two of them have a label at THEN


def project(folder: Path, churn: Churn, late: dict[str, int]) -> Settings:
    """Users active long before T, and once after, on `late` days after that known of late."""
    meant = Definitions(Activity(), Eligible(), churn, Value())
    settings = settings_of(meant, folder)
    base = {"event": "view", "channel": None, "amount": 2.0}
    log: list[dict[str, Any]] = [
        base | {"user_id": user, "ts": T + n * DAY} for user in late for n in (-40, 60)
    ]
    for user, days in late.items():
        happened = T + 7 * DAY
        came = happened + days * DAY if days else None
        log.append(base | {"user_id": user, "ts": happened, "received": came})
    write_store(settings, log)
    return settings


def both(settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Labels as known at the end, and those as known at THEN."""
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    now = read(build_snapshots(settings, store, AT, spec, CPU, True))
    taken = snapshots_then(settings, store, THEN, AT, spec, CPU)
    if taken is None:
        return now, None
    found = without_hindsight(now, read(taken).drop(taken.features), THEN)
    assert_frame_equal(found.drop("churn", "value"), now.drop("churn", "value"))
    return now, found


def told(frame: pl.DataFrame, user: str, label: str) -> list[Any]:
    return frame.filter(user_id=user).sort("cutoff")[label].to_list()


def test_an_event_that_came_later_is_in_no_label_of_before(tmp_path: Path) -> None:
    settings = project(tmp_path, Churn(kind="passive", horizon_days=10), {"in time": 3, "late": 13})
    now, then = both(settings)
    assert then is not None
    assert told(now, "late", "churn") == [0, 0, 1, 1, 1]
    assert told(now, "late", "value") == [2.0, 2.0, 0.0, 0.0, 0.0]
    # It came at THEN itself, which is not before it. From THEN on labels are what they are now.
    assert told(then, "late", "churn") == [1, 1, None, 1, 1]
    assert told(then, "late", "value") == [0.0, 0.0, None, 0.0, 0.0]
    assert told(then, "in time", "churn") == [0, 0, None, 1, 1]
    assert told(then, "in time", "value") == [2.0, 2.0, None, 0.0, 0.0]


def test_steps_are_as_known_then(tmp_path: Path) -> None:
    churn = Churn(kind="passive", horizon_days=10)
    settings = project(tmp_path, churn, {"late": 13})
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    taken = snapshots_then(settings, store, THEN, AT, spec, CPU, steps=(4, 8, 10))
    assert taken is not None
    found = read(taken)
    assert found["cutoff"].to_list() == [cutoff.at for cutoff in AT[:3]]
    assert found["churn_4"].to_list() == [1, 1, 1]
    assert found["churn_8"].to_list() == [1, 1, None]
    assert found["churn"].to_list() == [1, 1, None]


def test_a_log_that_tells_no_arrival_has_no_hindsight(tmp_path: Path) -> None:
    settings = project(tmp_path, Churn(kind="passive", horizon_days=10), {"a": 0})
    assert both(settings)[1] is None


def test_a_date_of_churn_is_as_the_users_table_had_it_then(tmp_path: Path) -> None:
    churn = Churn(kind="active", date_column="left", horizon_days=10)
    settings = project(tmp_path, churn, {"a": 0, "b": 0})
    rows = [
        {"user_id": "a", "left": T + 3 * DAY, VALID_FROM: T + 4 * DAY},
        {"user_id": "a", "left": None, VALID_FROM: THEN},  # came back
        {"user_id": "b", "left": T + 8 * DAY, VALID_FROM: THEN + DAY},
    ]
    schema = {
        "user_id": pl.String,
        "age": pl.Float64,
        "plan": pl.String,
        "left": TIME,
        VALID_FROM: TIME,
        "bucket": pl.Int32,
    }
    frame = pl.DataFrame([row | {"bucket": 0} for row in rows], schema=schema)
    kind = TableKind(USERS.name, USERS.version, dict(frame.schema), USERS.partition_by)
    rewrite(users_path(settings), kind, [frame])
    now, then = both(settings)
    assert then is not None
    assert told(now, "a", "churn")[0] == 0
    assert told(then, "a", "churn")[0] == 1
    assert told(now, "b", "churn")[:2] == [1, 1]
    assert told(then, "b", "churn")[:2] == [0, 0]
