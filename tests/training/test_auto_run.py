"""A tracked run of "auto": nested runs, and a model that was tampered with is refused."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient
from polars.testing import assert_frame_equal
from small_project import AS_OF, another_future, small_log, write_small_project

from events.ingest import ingest
from runtime.device import Device
from runtime.errors import ModelError
from runtime.settings import Settings, load_settings
from runtime.tables import open_table
from serving.formats import NUMBERS
from serving.score import SCORES, score
from training import bundle, tracking
from training.recipe import TrainResult, train

CPU = Device("cpu", "a test")


@pytest.fixture(scope="module")
def settings(quick_models: None, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("auto")
    settings = load_settings(write_small_project(folder, small_log(200)))
    ingest(settings)
    return settings


@pytest.fixture(scope="module")
def result(settings: Settings) -> TrainResult:
    assert settings.training.model == "auto", "the default"
    return train(settings, AS_OF, None, CPU)


@pytest.fixture(scope="module")
def client(settings: Settings, result: TrainResult) -> MlflowClient:
    return MlflowClient(tracking_uri=_uri(settings), registry_uri=_uri(settings))


def _uri(settings: Settings) -> str:
    return f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}"


def test_each_that_was_tried_is_a_nested_run(
    result: TrainResult, settings: Settings, client: MlflowClient
) -> None:
    parent = client.get_run(result.run_id)
    nested = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{result.run_id}'"
    )
    tried = {run.data.params["model"]: run for run in nested}
    assert set(tried) == {row["model"] for row in result.candidates}
    assert [result.candidates[k]["model"] for k in range(8)] == [
        "logistic",
        "xgboost",
        "sequence",
        "logistic + xgboost",
        "logistic + sequence",
        "xgboost + sequence",
        "average",
        "stack",
    ]
    for row in result.candidates:
        run = tried[row["model"]]
        assert run.info.status == "FINISHED"
        for name in ("churn_roc_auc", "validation_churn_loss", "validation_value_loss", "seconds"):
            assert run.data.metrics[name] == pytest.approx(row[name])
    assert parent.data.params["chosen_churn"].split(" ")[0] in tried
    assert [run.run_id for run in tracking.list_runs(settings)] == [result.run_id]


def test_the_chosen_one_is_the_run(result: TrainResult, client: MlflowClient) -> None:
    params = client.get_run(result.run_id).data.params
    for target in ("churn", "value"):
        (chosen,) = (row for row in result.candidates if target in row["chosen_for"])
        assert params[f"chosen_{target}"].startswith(chosen["model"])


def test_a_model_that_was_tampered_with_is_refused(
    result: TrainResult, settings: Settings, client: MlflowClient
) -> None:
    (folder,) = (path.parent for path in settings.tracking.rglob(bundle.SEAL))
    changed = folder / "model.json"
    held, seal = changed.read_bytes(), (folder / bundle.SEAL).read_bytes()
    changed.write_bytes(held.replace(b'"value_scale"', b'"value_scale" '))
    with pytest.raises(ModelError, match=r"model.json: was changed"):
        tracking.load_model(settings)
    bundle.seal(folder)  # the seal forged as well: the run's tag still tells
    with pytest.raises(ModelError, match="is not the model that run"):
        tracking.load_model(settings)
    changed.write_bytes(held)
    (folder / bundle.SEAL).write_bytes(seal)
    assert tracking.load_model(settings)[1] == result.run_id


def _scores(settings: Settings) -> pl.DataFrame:
    table = open_table(score(settings, AS_OF, None, CPU).table, SCORES)
    return table.scan().select("user_id", *NUMBERS, "reason_1").collect().sort("user_id")


def test_the_future_does_not_matter_to_what_is_chosen(
    result: TrainResult, settings: Settings, tmp_path: Path
) -> None:
    """Sequences, what is blended, and the level carried to the present are of the past alone."""
    other = load_settings(write_small_project(tmp_path / "p", another_future(small_log(200))))
    ingest(other)
    metrics = train(other, AS_OF, "auto", CPU).metrics
    assert json.dumps(metrics) == json.dumps(result.metrics)
    chosen, other_chosen = (
        tracking.list_runs(of)[0].params["chosen_churn"] for of in (settings, other)
    )
    assert chosen == other_chosen
    assert_frame_equal(_scores(settings), _scores(other), check_exact=True)


def test_the_page_shows_what_was_tried(result: TrainResult, settings: Settings) -> None:
    folder = settings.tracking / "artifacts" / result.run_id / "artifacts"
    text = (folder / "review.html").read_text(encoding="utf-8")
    assert "<h2>What was tried</h2>" in text
    assert text.count("xgboost + sequence") >= 1
