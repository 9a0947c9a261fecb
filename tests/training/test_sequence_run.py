"""A sequence model through the whole path: trained, tracked, judged, scored, served by MLflow."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.sequence_now import LISTS, bucket_sequences
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, ModelError, UsageError
from runtime.settings import Settings, load_settings
from serving.score import score
from training import recipe, tracking
from training.column import BESIDE
from training.model import Model
from training.recipe import TrainResult, train
from training.sequences_at import beside
from training.trained import Trained

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)
FRESH = """
import pickle, sys
import mlflow, pandas
def refuse(*_, **__): raise AssertionError("a pickle was read")
pickle.load = pickle.loads = refuse
mlflow.set_tracking_uri(sys.argv[1])
served = mlflow.pyfunc.load_model("models:/small@champion")
served.predict(pandas.read_parquet(sys.argv[2])).to_parquet(sys.argv[3])
"""


@pytest.fixture(scope="module")
def settings(quick_models: None, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("sequence")
    settings = load_settings(write_small_project(folder, small_log(200)))
    ingest(settings)
    return settings


@pytest.fixture(scope="module")
def result(settings: Settings) -> TrainResult:
    return train(settings, AS_OF, "sequence", CPU)


@pytest.fixture(scope="module")
def model(settings: Settings, result: TrainResult) -> Model:
    return tracking.load_model(settings, result.run_id)[0]


def _features(settings: Settings, model: Model) -> pl.DataFrame:
    store = open_store(settings, AS_OF)
    return read(build_snapshots(settings, store, [Cutoff(AS_OF)], model.spec, CPU, labelled=False))


def _lists(settings: Settings, model: Model) -> pl.DataFrame:
    assert model.sequence is not None
    store, length = open_store(settings, AS_OF), model.sequence.length
    return pl.concat(
        bucket_sequences(store, bucket, Cutoff(AS_OF), model.spec, length, CPU)
        for bucket in store.buckets
    )


def test_it_learns(result: TrainResult, model: Model) -> None:
    assert result.metrics["churn_roc_auc"] > 0.6
    assert model.inputs == (*model.features, *BESIDE)


def test_scores_are_the_models_on_the_sequences_of_everyone(
    settings: Settings, result: TrainResult, model: Model
) -> None:
    found = score(settings, AS_OF, result.run_id, CPU)
    taken = pl.scan_delta(str(found.table)).filter(model_run_id=result.run_id)
    scores = collect(taken, CPU).sort("user_id")
    frame = beside(_features(settings, model), model, settings, open_store(settings, AS_OF), CPU)
    expected = model.predict(frame).with_columns(frame["user_id"]).sort("user_id")
    assert scores["user_id"].equals(expected["user_id"])
    for name in ("churn_probability", "expected_value", "median_value"):
        assert scores[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-5)


def test_mlflow_serves_it_in_a_fresh_process_without_a_pickle(
    settings: Settings, model: Model, tmp_path: Path
) -> None:
    frame = _features(settings, model).join(_lists(settings, model), on="user_id", how="left")
    rows = frame.select(*model.features, *LISTS)
    rows.to_pandas().to_parquet(tmp_path / "x.parquet")
    uri = f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}"
    call = [sys.executable, "-c", FRESH, uri, tmp_path / "x.parquet", tmp_path / "y.parquet"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, expected = pl.read_parquet(tmp_path / "y.parquet"), model.predict(frame)
    for name in ("churn_probability", "expected_value"):
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-5)


def test_weights_that_were_changed_are_refused(model: Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "m")
    path = next((folder / "sequence").rglob("sequence.npz"))
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    with pytest.raises(ModelError, match=r"sequence.npz: was changed"):
        Model.load(folder)


def test_a_log_that_is_too_young_says_so(settings: Settings) -> None:
    longer = settings.churn.model_copy(update={"horizon_days": 170})
    young = settings.model_copy(update={"churn": longer})
    with pytest.raises((UsageError, LabelError), match=r"horizon"):
        train(young, AS_OF, "sequence", CPU)


def test_trained_again_and_taken_up_it_is_the_same(
    settings: Settings, result: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are kept until the run is there."""
    again = []

    def interrupted(_: Settings, trained: Trained, *__: object) -> None:
        again.append(trained.evaluation.metrics)
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "params_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(settings, AS_OF, "sequence", CPU)
    kept = list((settings.store / ".training").rglob("*.pt"))
    assert kept
    monkeypatch.undo()
    again.append(train(settings, AS_OF, "sequence", CPU).metrics)
    assert again == [result.metrics] * 2
    assert not list((settings.store / ".training").rglob("*.pt"))


def test_a_sequence_model_has_reasons(
    settings: Settings, result: TrainResult, model: Model
) -> None:
    """Those of trees that say nearly the same; they change no score."""
    found = score(settings, AS_OF, result.run_id, CPU)
    scores = collect(pl.scan_delta(str(found.table)).filter(model_run_id=result.run_id), CPU)
    assert scores["reason_1"].null_count() == 0
    assert scores["reason_1"].n_unique() > 5
    frame = beside(_features(settings, model), model, settings, open_store(settings, AS_OF), CPU)
    told = model.contributions(frame).sum(1)
    assert np.corrcoef(told, model.churn.margin(model.rows(frame)))[0, 1] > 0.7
