"""The rows of the level on a small log; what is drawn from them is in test_present.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import EventStore, open_store
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import decide
from runtime.settings import Settings, load_settings
from training.level_rows import LevelRows, level_rows
from training.plan import plan_of

T = datetime(2024, 8, 1, tzinfo=UTC)
CPU = decide("cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("levels")
    settings = load_settings(write_small_project(folder, small_log(200)))
    ingest(settings)
    return settings


def _rows(project: Settings, store: EventStore, level: str) -> LevelRows:
    training = project.training.model_copy(update={"level": level})
    asked = project.model_copy(update={"training": training})
    plan = plan_of(asked, open_store(asked, T))
    spec = learn_spec(open_store(asked, T), plan.learn_before, asked)
    return level_rows(asked, store, plan, spec, CPU)


def test_with_nothing_to_follow_there_are_the_users_at_the_as_of(project: Settings) -> None:
    store = open_store(project, T)
    found = _rows(project, store, "none")
    assert found.why
    plan = plan_of(project, store)
    spec = learn_spec(store, plan.learn_before, project)
    expected = read(build_snapshots(project, store, [Cutoff(T)], spec, CPU, labelled=False))
    assert expected.height > 50
    assert_frame_equal(found.frame, expected.select(found.frame.columns))
    assert not [name for name in found.frame.columns if name.startswith(("churn", "value"))]


def test_or_none_where_nobody_is_left(project: Settings) -> None:
    store = open_store(project, T + timedelta(days=4000))
    found = _rows(project, store, "none")
    assert found.why
    assert found.frame.is_empty()


def test_otherwise_outcomes_as_far_as_they_are_known(project: Settings) -> None:
    found = _rows(project, open_store(project, T), "auto")
    assert not found.why
    ends = pl.col("cutoff") + timedelta(days=found.span.embargo_days)
    known = found.frame.group_by((ends <= found.now).alias("ended")).agg(
        pl.col("churn").is_null().sum().alias("unknown"), pl.len()
    )
    assert {row["ended"]: row["unknown"] == 0 for row in known.to_dicts()} == {
        True: True,
        False: False,
    }
    assert known.filter("ended")["len"].item() > 50
    assert found.frame.filter(pl.col("cutoff") >= T).is_empty()
