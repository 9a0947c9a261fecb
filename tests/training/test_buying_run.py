"""Models of buying through the whole path: trained, scored, exported, served; and a young log."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from holdfast.cli import run
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Settings, load_settings
from training import tracking
from training.backtest import backtest
from training.buying_silence import Silence
from training.buying_spending import Spending
from training.model import Model
from training.recipe import train

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the commands from ingest to export have been run as of AS_OF."""
    folder = tmp_path_factory.mktemp("buying")
    config = write_small_project(folder, small_log(200), buckets=1)
    at = ["-c", str(config), "--as-of", str(AS_OF.date())]
    assert run(["ingest", "-c", str(config)]) == 0
    with (folder / "said.txt").open("w", encoding="utf-8") as said, redirect_stdout(said):
        assert run(["train", "--model", "buying", *at]) == 0
    assert run(["score", *at]) == 0
    assert run(["export", "--format", "csv", "--out", str(folder / "crm"), *at]) == 0
    return config


@pytest.fixture(scope="module")
def model(config: Path) -> Model:
    return tracking.load_model(load_settings(config))[0]


def _features(settings: Settings, model: Model) -> pl.DataFrame:
    store = open_store(settings, AS_OF)
    return read(build_snapshots(settings, store, [Cutoff(AS_OF)], model.spec, CPU, labelled=False))


def test_it_is_the_champion_and_its_scores_go_to_the_crm(config: Path, model: Model) -> None:
    assert model.kind == "buying"
    assert isinstance(model.churn, Silence)
    assert isinstance(model.value, Spending)
    settings = load_settings(config)
    frame = _features(settings, model)
    expected = model.predict(frame).with_columns(frame["user_id"]).sort("user_id")
    table = next(
        path.parent for path in settings.store.rglob("_delta_log") if "scores" in str(path)
    )
    scores = pl.read_delta(str(table)).sort("user_id")
    for name in ("churn_probability", "expected_value"):
        assert scores[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-9)
    told = scores["reason_1"].drop_nulls()
    assert told.str.contains("active|first seen").all()
    exported = list((config.parent / "crm").rglob("*.csv"))
    assert sum(len(pl.read_csv(path)) for path in exported) == len(scores)


def test_the_laws_are_told_wherever_a_run_is_read(config: Path, model: Model) -> None:
    assert isinstance(model.churn, Silence)
    assert isinstance(model.value, Spending)
    assert model.value.spend is not None
    printed = (config.parent / "said.txt").read_text(encoding="utf-8")
    assert "Laws of the kept model, with 95 % intervals" in printed
    (tracked,) = tracking.list_runs(load_settings(config))
    files = load_settings(config).tracking / "artifacts" / tracked.run_id / "artifacts"
    laws = json.loads((files / "laws.json").read_text(encoding="utf-8"))["laws"]
    page = (files / "review.html").read_text(encoding="utf-8")
    fits = {
        "activity": model.churn.fit,
        "purchases": model.value.fit,
        "amounts": model.value.spend,
    }
    assert {law["of"] for law in laws} == set(fits)
    for of, fit in fits.items():
        said = {law["parameter"]: law for law in laws if law["of"] == of}
        between = fit.interval(0.95)
        for name, value in zip(fit.names, fit.values, strict=True):
            assert said[name]["value"] == tracked.metrics[f"law_{of}_{name}"] == value
            assert (said[name]["low"], said[name]["high"]) == (between[name] or (None, None))
            assert f"{name} {value:.6g}" in page
        assert tracked.metrics[f"law_{of}_log_likelihood"] == fit.log_likelihood
        assert said["users"]["value"] == fit.customers
        assert f"{fit.customers:,}" in printed


def test_mlflow_serves_it(config: Path, model: Model) -> None:
    settings = load_settings(config)
    frame = _features(settings, model)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}")
    try:
        served = mlflow.pyfunc.load_model("models:/small@champion")
    finally:
        mlflow.set_tracking_uri(before)
    found = pl.from_pandas(served.predict(frame.select(model.features).to_pandas()))
    assert_frame_equal(found, model.predict(frame))


def test_what_comes_after_the_as_of_does_not_matter(model: Model, tmp_path: Path) -> None:
    past = small_log(200).filter(pl.col("when") < AS_OF)
    settings = load_settings(write_small_project(tmp_path, past, buckets=1))
    ingest(settings)
    train(settings, AS_OF, "buying", CPU)
    found = tracking.load_model(settings)[0]
    assert (found.churn, found.value) == (model.churn, model.value)


def test_a_young_log_is_told_about_the_whole_horizon(config: Path) -> None:
    settings = load_settings(config)
    churn = settings.churn.model_copy(update={"horizon_days": 90})
    young = settings.model_copy(update={"churn": churn})
    first = open_store(young).first
    now = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=110)
    aliases = {run.run_id: run.aliases for run in tracking.list_runs(young) if run.aliases}
    with pytest.raises(LabelError, match="its labels need events until"):
        backtest(young, [now, AS_OF], ["buying"], CPU)
    with pytest.raises(UsageError, match="model 'nope' is not known; choose one of auto"):
        backtest(young, [now], ["buying", "nope"], CPU)
    assert len(tracking.list_runs(young)) == len(aliases), "nothing was trained for nothing"
    (row,) = backtest(young, [now], ["buying"], CPU)
    assert {run.run_id: run.aliases for run in tracking.list_runs(young) if run.aliases} == aliases
    assert row["churn_roc_auc"] > 0.6
    assert row["value_normalized_gini"] > 0
    found = tracking.load_model(young, row["run_id"])[0].churn
    assert isinstance(found, Silence)
    assert found.span.ends_days == (15, 30, 45, 60, 75, 90)


def test_a_set_without_its_features_is_refused(config: Path) -> None:
    settings = load_settings(config)
    lean = settings.features.model_copy(update={"set": "lean"})
    with pytest.raises(UsageError, match="reads the feature 'purchase_tenure_days', which is not"):
        train(settings.model_copy(update={"features": lean}), AS_OF, "buying", CPU)
