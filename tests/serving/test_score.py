"""Scoring: the same rows however often, however interrupted, however the log lies."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from serving_model import CPU, LATER, RUN, TRAINED, registered, scored
from serving_tools import mounted, run_until
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.eligible import eligible_plan
from features.plan import feature_plan
from features.time import Cutoff
from runtime.errors import HoldfastError, LabelError, ModelError, OutputError, StoreError
from runtime.lock import writing_to
from runtime.settings import Settings, load_settings
from serving.export import export
from serving.formats import NUMBERS
from serving.score import score
from serving.table import as_of_key, open_scores, scores_path
from training.model import PREDICTED, Model

Models = Mapping[str, Model]


@pytest.fixture
def project(ingested: Path, tmp_path: Path) -> Settings:
    """A copy of the project that a test may score in."""
    folder = tmp_path / "p"
    shutil.copytree(ingested.parent, folder)
    return load_settings(folder / "holdfast.toml")


def table(settings: Settings, as_of: datetime | None = None) -> pl.DataFrame:
    return open_scores(settings, as_of).scan().collect().sort("user_id")


def files(settings: Settings) -> set[Path]:
    return {path for path, _ in open_scores(settings).table.files}


def test_every_eligible_user_once_as_the_model_says(project: Settings, models: Models) -> None:
    model = models["xgboost"]
    result = scored(project, model)
    found = table(project)
    store = open_store(project, LATER)
    wanted = eligible_plan(store.scan_all(), Cutoff(LATER), model.spec.definitions, None)
    assert found["user_id"].to_list() == sorted(wanted.collect()["user_id"].to_list())
    assert (result.rows, result.as_of, result.model_run_id) == (len(found), LATER, RUN.run_id)
    assert result.table == scores_path(project)
    features = feature_plan(store.scan_all(), Cutoff(LATER), model.spec, None)
    expected = model.predict(features.collect().sort("user_id"))
    names = list(NUMBERS)
    assert names == list(PREDICTED)
    assert_frame_equal(found.select(names), expected.select(names), rel_tol=0, abs_tol=1e-6)
    assert found.select("model_kind", "model_version", "model_run_id").unique().rows() == [
        ("xgboost", 1, RUN.run_id)
    ]
    assert found["snapshot_digest"].n_unique() == 1
    assert found["reason_1"].null_count() == 0


def test_again_gives_the_same_rows(project: Settings, models: Models) -> None:
    scored(project, models["xgboost"])
    first = table(project)
    scored(project, models["xgboost"])
    assert_frame_equal(table(project), first, check_exact=True)
    assert not any((project.store / ".staging").iterdir())


def test_another_as_of_is_left_alone(project: Settings, models: Models) -> None:
    scored(project, models["xgboost"])
    before, first = files(project), table(project)
    later = LATER + timedelta(hours=5, microseconds=1)
    scored(project, models["xgboost"], later)
    assert before < files(project)
    assert_frame_equal(table(project, LATER), first, check_exact=True)
    scored(project, models["logistic"], later)
    assert before < files(project)
    assert table(project, later)["model_kind"].unique().to_list() == ["logistic"]
    assert open_scores(project).as_of == later


def test_rows_that_are_no_longer_eligible_go(project: Settings, models: Models) -> None:
    scored(project, models["xgboost"])
    narrow = project.model_copy(
        update={"eligible": project.eligible.model_copy(update={"within_days": 3})}
    )
    spec = models["xgboost"].spec
    definitions = replace(spec.definitions, eligible=narrow.eligible)
    model = replace(models["xgboost"], spec=replace(spec, definitions=definitions))
    many = len(table(project))
    scored(narrow, model)
    assert 0 < len(table(project)) < many


def test_default_is_just_after_the_last_event(project: Settings, models: Models) -> None:
    result = scored(project, models["logistic"], None)
    assert result.as_of == open_store(project).as_of
    assert export(project).rows == result.rows


@pytest.mark.parametrize("kind", ["xgboost", "logistic"])
@pytest.mark.parametrize("buckets", [1, 3, 16])
def test_buckets_and_row_order_do_not_matter(
    project: Settings, models: Models, tmp_path: Path, buckets: int, kind: str
) -> None:
    scored(project, models[kind])
    shuffled = small_log().sample(fraction=1.0, shuffle=True, seed=buckets)
    other = load_settings(write_small_project(tmp_path / "o", shuffled, 2, buckets))
    ingest(other)
    scored(other, models[kind])
    changing = ["snapshot_digest"]
    assert_frame_equal(
        table(other).drop(changing), table(project).drop(changing), rel_tol=0, abs_tol=1e-6
    )


def test_slices_do_not_matter(
    project: Settings, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(project, models["xgboost"])
    whole = table(project)
    monkeypatch.setattr("serving.score.SLICE", 7)
    scored(project, models["xgboost"])
    assert_frame_equal(table(project), whole, rel_tol=0, abs_tol=1e-9)


def test_events_at_or_after_the_as_of_do_not_matter(
    project: Settings, models: Models, tmp_path: Path
) -> None:
    scored(project, models["xgboost"])
    cut = small_log().filter(pl.col("when") < LATER)
    other = load_settings(write_small_project(tmp_path / "o", cut))
    ingest(other)
    scored(other, models["xgboost"])
    columns = pl.exclude("snapshot_digest")
    assert_frame_equal(table(other).select(columns), table(project).select(columns))


def test_a_model_that_has_seen_the_future_is_refused(project: Settings, models: Models) -> None:
    earlier = TRAINED - timedelta(days=1)
    with pytest.raises(ModelError, match=r"trained as of 2024-07-01.*--as-of 2024-06-30"):
        scored(project, models["logistic"], earlier)
    assert not scores_path(project).exists()
    assert scored(project, models["logistic"], TRAINED).rows


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("churn", "horizon_days", 60),
        ("activity", "exclude", ("view",)),
        ("eligible", "within_days", None),
        ("value", "events", ("purchase",)),
    ],
)
def test_a_model_of_other_definitions_is_refused(
    project: Settings, models: Models, section: str, key: str, value: object
) -> None:
    changed = getattr(project, section).model_copy(update={key: value})
    other = project.model_copy(update={section: changed})
    with pytest.raises(ModelError, match=rf"trained with {section}\.{key} = .*holdfast.toml says"):
        scored(other, models["logistic"])


def test_nobody_eligible(project: Settings, models: Models) -> None:
    with pytest.raises(LabelError, match="nobody is eligible"):
        scored(project, models["logistic"], datetime(2026, 1, 1, tzinfo=UTC))
    assert not scores_path(project).exists()
    assert not any((project.store / ".staging").iterdir())


def test_without_a_store_or_a_model(project: Settings, tmp_path: Path, models: Models) -> None:
    with pytest.raises(ModelError, match="run 'holdfast train'"):
        score(project, LATER, None, CPU)
    with registered(models["logistic"]), pytest.raises(ModelError, match="nope"):
        score(project, LATER, "nope", CPU)
    empty = load_settings(write_small_project(tmp_path / "e"))
    with pytest.raises(StoreError, match="no events table"):
        scored(empty, models["logistic"])
    assert not empty.store.exists()


def test_one_writer_at_a_time(project: Settings, models: Models) -> None:
    with writing_to(project.store), pytest.raises(StoreError, match="is writing to it"):
        scored(project, models["logistic"])


def test_a_failed_bucket_is_named_and_the_others_kept(
    project: Settings, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import score as module

    real, calls = module._bucket, []

    def failing(job: object, bucket: int) -> pl.DataFrame:
        calls.append(bucket)
        if bucket == 2 and calls.count(2) <= 2:
            raise ArithmeticError("for the test")
        return real(job, bucket)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_bucket", failing)
    with pytest.raises(HoldfastError, match="bucket 2 failed 2 times"):
        scored(project, models["logistic"])
    assert not scores_path(project).exists()
    scored(project, models["logistic"])
    assert sorted(calls) == [0, 1, 2, 2, 2, 3]


def test_staging_of_an_older_log_is_removed(project: Settings, models: Models) -> None:
    stale = project.store / ".staging" / "scores-v999-abc"
    stale.mkdir(parents=True)
    scored(project, models["logistic"])
    assert not stale.exists()


CHILD = """
import sys; sys.path.insert(0, "tests")
from serving_model import scored_with
print("begins", flush=True)
scored_with(*sys.argv[1:])
"""


def _killed_and_run_again(
    project: Settings, model: Model, tmp_path: Path, kills: int, share_of: int
) -> None:
    folder = str(model.save(tmp_path / "model"))
    config = project.store.parent / "holdfast.toml"
    whole = tmp_path / "whole"
    shutil.copytree(config.parent, whole)
    seconds = run_until(CHILD, [str(whole / "holdfast.toml"), folder], None)
    expected = table(load_settings(whole / "holdfast.toml"))
    for kill in range(kills):
        copy = tmp_path / f"killed-{kill}"
        shutil.copytree(config.parent, copy)
        moment = (kill * 7 % share_of + random.Random(kill).random()) / share_of
        run_until(CHILD, [str(copy / "holdfast.toml"), folder], seconds * moment)
        settings = load_settings(copy / "holdfast.toml")
        if (scores_path(settings) / "_delta_log").exists() and open_scores(settings).table.files:
            assert_frame_equal(table(settings), expected, check_exact=True)
        scored(settings, model)
        assert_frame_equal(table(settings), expected, check_exact=True)
        assert [p.name for p in settings.store.rglob("*.draft")] == []
        assert not any((settings.store / ".staging").iterdir())


def test_killed_at_any_moment_and_run_again(
    project: Settings, models: Models, tmp_path: Path
) -> None:
    _killed_and_run_again(project, models["xgboost"], tmp_path, kills=3, share_of=20)


@pytest.mark.slow
def test_killed_at_twenty_moments_and_run_again(
    project: Settings, models: Models, tmp_path: Path
) -> None:
    _killed_and_run_again(project, models["xgboost"], tmp_path, kills=20, share_of=20)


def test_keys_sort_as_time_does() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    steps = [timedelta(), timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1)]
    keys = [as_of_key(start + step) for step in steps]
    assert keys == sorted(keys)
    assert keys[:2] == ["2024-01-01", "2024-01-01T000000.000001Z"]


def test_a_full_disk_is_said_in_one_line(project: Settings, models: Models) -> None:
    staging = project.store / ".staging"
    staging.mkdir(exist_ok=True)
    with mounted(staging, size="8k"), pytest.raises(OutputError, match="full"):
        scored(project, models["logistic"])
    assert not scores_path(project).exists()
    assert scored(project, models["logistic"]).rows


def test_a_read_only_scores_table_is_left_as_it_was(project: Settings, models: Models) -> None:
    scored(project, models["logistic"])
    before = table(project)
    with (
        mounted(scores_path(project)),
        pytest.raises(OutputError, match="read-only or not permitted"),
    ):
        scored(project, models["xgboost"])
    assert_frame_equal(table(project), before, check_exact=True)
