"""Runs and the registry, through the whole recipe on a small log."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import Device
from runtime.errors import LabelError, ModelError, UsageError
from runtime.settings import Settings, load_settings
from training import tracking
from training.compare import compare
from training.model import PREDICTED
from training.recipe import TrainResult, train
from training.runs import RunInfo, pick

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(quick_models: None, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("tracked")
    settings = load_settings(write_small_project(folder, small_log(200)))
    ingest(settings)
    return settings


@pytest.fixture(scope="module")
def results(settings: Settings) -> list[TrainResult]:
    """A champion (XGBoost) and a challenger (logistic regression)."""
    return [train(settings, AS_OF, kind, CPU) for kind in ("xgboost", "logistic")]


@pytest.fixture
def client(settings: Settings) -> MlflowClient:
    uri = f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _features(settings: Settings) -> pl.DataFrame:
    model, _ = tracking.load_model(settings)
    store = open_store(settings, AS_OF)
    return read(build_snapshots(settings, store, [Cutoff(AS_OF)], model.spec, CPU, labelled=False))


def test_a_run_says_what_it_was_made_of(results: list[TrainResult], client: MlflowClient) -> None:
    result = results[0]
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    for name in ("fit", "calibrate", "test", "served_fit", "data_digest", "delta_version", "seed"):
        assert run.data.params[name]
    for name in ("device", "delta_version", "code_version", "as_of", "model"):
        assert run.data.tags[f"holdfast.{name}"]
    assert run.data.metrics == pytest.approx(result.metrics)
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.params["data_digest"]
    files = {f.path for f in client.list_artifacts(result.run_id)}
    assert files == {"review.html", "metrics.json", "spec.json", "curves.json"}


def test_metrics_have_names_intervals_and_floors(results: list[TrainResult]) -> None:
    metrics = results[0].metrics
    for name in ("churn_roc_auc", "churn_ece", "churn_lift_at_5pct", "value_normalized_gini"):
        assert metrics[f"{name}_low"] <= metrics[f"{name}_high"]
    for name in ("churn_gain_at_1pct", "recency_churn_roc_auc", "base_rate_churn_brier"):
        assert np.isfinite(metrics[name])
    assert {"recency_value_mae", "base_mean_value_mae", "value_bias"} <= set(metrics)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["churn_roc_auc"] > 0.6


def test_the_first_is_champion_and_the_next_challenger(
    results: list[TrainResult], settings: Settings
) -> None:
    first, second = results
    assert (first.version, second.version) == (1, 2)
    runs = tracking.list_runs(settings)
    assert [(r.run_id, r.aliases) for r in runs] == [
        (second.run_id, ("challenger",)),
        (first.run_id, ("champion",)),
    ]
    for name in (None, "champion", "1", "xgboost", first.run_id, first.run_id[:10]):
        model, run_id = tracking.load_model(settings, name)
        assert (model.kind, run_id) == ("xgboost", first.run_id)
    assert tracking.load_model(settings, "logistic")[1] == second.run_id
    with pytest.raises(ModelError, match=r"'elephant' is not known; choose one of .*challenger"):
        tracking.load_model(settings, "elephant")


def test_mlflow_serves_the_model_without_a_pickle(
    results: list[TrainResult], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = _features(settings)
    model, _ = tracking.load_model(settings)
    expected = model.predict(frame)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}")
    try:
        served = mlflow.pyfunc.load_model("models:/small@champion")
        found = served.predict(frame.select(model.features).to_pandas())
    finally:
        mlflow.set_tracking_uri(before)
    for name in PREDICTED:
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-9)
    assert served.metadata.signature is not None
    assert served.input_example is not None


def test_the_folder_can_be_copied(
    results: list[TrainResult], settings: Settings, tmp_path: Path
) -> None:
    """MLflow notes whole addresses: what is logged in the copy must not go to the original."""
    shutil.copytree(settings.tracking, tmp_path / "copy")
    project = settings.project.model_copy(update={"tracking": str(tmp_path / "copy")})
    copied = settings.model_copy(update={"project": project})
    model, run_id = tracking.load_model(copied)
    assert run_id == results[0].run_id
    before = _files(settings.tracking)

    with tracking.tracked(copied, "next", {}) as run:
        run.log_model(model, _features(settings).head(3).select(model.features))
    version = tracking.register(copied, run)

    assert tracking.load_model(copied, str(version))[1] == run.run_id
    assert _files(settings.tracking) == before
    here = (tmp_path / "copy" / "artifacts").resolve().as_uri() + "/"
    known = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'copy' / 'mlflow.db'}")
    assert known.get_run(run_id).info.artifact_uri.startswith(here)
    assert {f.path for f in known.list_artifacts(run_id)} >= {"review.html", "metrics.json"}
    assert all(v.source.startswith(here) for v in known.search_model_versions())
    assert all(
        m.artifact_location.startswith(here)
        for m in known.search_logged_models([run.experiment_id])
    )


def _files(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_compare_lists_metrics_side_by_side(results: list[TrainResult], settings: Settings) -> None:
    found = compare(settings, ["champion", "challenger"])
    assert [run.model for run in found.runs] == ["xgboost", "logistic"]
    row = found.table.filter(metric="churn_roc_auc", model="xgboost").row(0, named=True)
    assert row["value"] == results[0].metrics["churn_roc_auc"]
    assert row["low"] <= row["value"] <= row["high"]
    assert found.notes == ()


def test_the_page_stands_alone(results: list[TrainResult], settings: Settings) -> None:
    folder = settings.tracking / "artifacts" / results[0].run_id / "artifacts"
    text = (folder / "review.html").read_text(encoding="utf-8")
    assert text.count("plotly.js v") == 1
    assert "<script src" not in text
    assert "<link" not in text
    for heading in ("Calibration", "Gain", "What moves the score", "Value by tenth"):
        assert f"<h2>{heading}</h2>" in text


def test_training_again_gives_the_same_metrics_and_predictions(
    results: list[TrainResult], settings: Settings
) -> None:
    again = train(settings, AS_OF, "xgboost", CPU)
    assert again.metrics == results[0].metrics
    frame = _features(settings)
    first, second = (tracking.load_model(settings, r)[0] for r in (results[0].run_id, again.run_id))
    assert first.predict(frame).equals(second.predict(frame))


def test_a_run_that_fails_or_is_interrupted_is_closed_and_not_registered(
    results: list[TrainResult], settings: Settings, client: MlflowClient
) -> None:
    versions = len(client.search_model_versions("name = 'small'"))
    ids: list[str] = []

    def broken_by(error: BaseException) -> None:
        with tracking.tracked(settings, "x", {}) as run:
            ids.append(run.run_id)
            raise error

    for error in (KeyboardInterrupt(), LabelError("none here")):
        with pytest.raises(type(error)):
            broken_by(error)
    found = [client.get_run(run_id) for run_id in ids]
    assert [run.info.status for run in found] == ["KILLED", "FAILED"]
    assert found[1].data.tags["error"] == "LabelError: none here"
    assert len(client.search_model_versions("name = 'small'")) == versions


def test_a_run_whose_process_died_is_closed_by_the_next(
    results: list[TrainResult], settings: Settings, client: MlflowClient
) -> None:
    code = (
        "import os, sys; from pathlib import Path; from runtime.settings import load_settings; "
        "from training.tracking import tracked\n"
        "with tracked(load_settings(Path(sys.argv[1])), 'x', {}) as run:\n"
        "    print(run.run_id, flush=True); os.kill(os.getpid(), 9)"
    )
    config = settings.resolve("holdfast.toml")
    done = subprocess.run(
        [sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=False
    )
    dead = done.stdout.strip()
    assert client.get_run(dead).info.status == "RUNNING"
    with tracking.tracked(settings, "y", {}):
        pass
    assert client.get_run(dead).info.status == "KILLED"


def test_nothing_is_said_on_standard_output(
    results: list[TrainResult], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings, AS_OF, "logistic", CPU)
    assert capsys.readouterr().out == ""


def test_promoting_moves_the_champion(results: list[TrainResult], settings: Settings) -> None:
    promoted = tracking.promote(settings, results[1].run_id)
    assert promoted.run_id == results[1].run_id
    assert "champion" in promoted.aliases
    assert tracking.load_model(settings)[1] == results[1].run_id
    assert tracking.promote(settings, "1").run_id == results[0].run_id


def test_an_unknown_kind_and_an_unripe_log_leave_no_run(settings: Settings) -> None:
    before = len(tracking.list_runs(settings))
    with pytest.raises(UsageError, match="'oracle'"):
        train(settings, AS_OF, "oracle", CPU)
    with pytest.raises(LabelError):
        train(settings, open_store(settings).first + timedelta(days=3), None, CPU)
    assert len(tracking.list_runs(settings)) == before


def test_the_first_run_makes_the_database(tmp_path: Path) -> None:
    """Which small projects otherwise begin with."""
    settings = load_settings(write_small_project(tmp_path / "p", small_log(20)))
    database = settings.tracking / "mlflow.db"
    database.unlink()
    assert tracking.list_runs(settings) == ()
    assert not database.exists(), "looking makes nothing"
    with tracking.tracked(settings, "first", {}) as run:
        pass
    assert [one.run_id for one in tracking.list_runs(settings)] == [run.run_id]


def test_without_a_registered_model_the_error_says_what_to_do() -> None:
    failed = RunInfo("a" * 32, "xgboost", "", "FAILED", 0.0, {}, {}, {})
    for runs in ([], [failed]):
        with pytest.raises(ModelError, match="no model is registered yet; run 'holdfast train'"):
            pick(runs, None)


def test_after_backtests_alone_the_error_says_how_a_champion_is_made() -> None:
    rolled = RunInfo("b" * 32, "auto", "2024-06-01", "FINISHED", 0.0, {}, {}, {}, 1)
    for name in (None, "champion"):
        with pytest.raises(ModelError, match=r"no model is champion; 'holdfast train' .*bbbbbbbb"):
            pick([rolled], name)
    with pytest.raises(ModelError, match="'challenger' is not known"):
        pick([rolled], "challenger")


def test_a_kind_is_its_run_of_the_newest_as_of() -> None:
    """A backtest trains as of the past, and later than what serves."""

    def run(as_of: str, version: int) -> RunInfo:
        return RunInfo(f"{version}" * 32, "xgboost", as_of, "FINISHED", 0.0, {}, {}, {}, version)

    rolled, serves, before = run("2024-06-01", 3), run("2024-08-01", 2), run("2024-08-01", 1)
    assert pick([rolled, serves, before], "xgboost") is serves
    assert pick([rolled, serves, before], "3") is rolled
