"""Nothing at or after the cutoff changes anything: what is learned, the features, who is scored."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles.features_logs import (
    T,
    by_user,
    differences,
    events_frame,
    settings_of,
    users_frame,
    write_store,
)
from oracles.features_strategies import definitions, logs, people, rows, specs

from events.store import open_store
from events.users import USERS, users_path
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.learn import learn_spec
from features.plan import feature_plan
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings
from runtime.tables import TableKind, rewrite

CPU = Device("cpu", "test")
later_rows = rows.map(lambda row: row | {"ts": T + abs(row["ts"] - T)})
later_logs = st.lists(later_rows, max_size=15)
AT_THE_CUTOFF = {"user_id": "a", "ts": T, "event": "view", "amount": 1.5, "channel": "web"}
PAST = {**AT_THE_CUTOFF, "ts": T - timedelta(days=3)}


def write_users(settings: Settings) -> None:
    frame = users_frame({"a": {"age": 1.0, "plan": "gold", "left": None}}).with_columns(
        bucket=pl.lit(0, dtype=pl.Int32)
    )
    kind = TableKind(USERS.name, USERS.version, dict(frame.schema), USERS.partition_by)
    rewrite(users_path(settings), kind, [frame])


def before(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [PAST, *(row for row in log if row["ts"] < T)]


@hypothesis_settings(max_examples=60, deadline=None)
@given(log=logs, later=later_logs, spec=specs, users=people)
def test_later_events_change_no_feature_and_nobodys_eligibility(
    log: Any, later: Any, spec: FeatureSpec, users: Any
) -> None:
    known = users_frame(users).lazy()
    with_later = events_frame([AT_THE_CUTOFF, *later, *before(log)]).lazy()
    without = events_frame(before(log)).lazy()
    found, expected = (
        by_user(collect(feature_plan(events, Cutoff(T), spec, known), CPU))
        for events in (with_later, without)
    )
    assert differences(found, expected) == []
    people_found, people_expected = (
        sorted(collect(eligible_plan(events, Cutoff(T), spec.definitions, known), CPU)["user_id"])
        for events in (with_later, without)
    )
    assert people_found == people_expected


@hypothesis_settings(max_examples=20, deadline=None)
@given(log=logs, later=later_logs, meant=definitions)
def test_later_events_change_nothing_that_is_learned(
    log: Any, later: Any, meant: Definitions
) -> None:
    learned = []
    for rows_held in ([AT_THE_CUTOFF, *later, *before(log)], before(log)):
        with tempfile.TemporaryDirectory() as folder:
            settings = settings_of(meant, Path(folder))
            write_store(settings, rows_held)
            write_users(settings)
            learned.append(learn_spec(open_store(settings), Cutoff(T), settings))
    assert learned[0] == learned[1]
    assert learned[0].digest == learned[1].digest
