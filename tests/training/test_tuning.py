"""Searches with real fits: what a trial is, what is read, and a winner that retrains to itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient
from small_project import small_log, write_small_project

from events.ingest import ingest
from features.snapshots import read
from runtime.cluster import IN_PROCESS, InProcess, Started, connected, parse_cluster
from runtime.device import Device
from runtime.errors import ModelError, StoreError, UsageError
from runtime.lock import writing_to
from runtime.settings import Settings, load_settings
from training import recipe, tracking, trials
from training.fitting import Fit, fit
from training.search import Search, Wanted
from training.spaces import SPACES, TARGETS, Target, pair_of, spec_with, tuned_spec
from training.split import Split
from training.studies import Finished, studies
from training.trials import Asked, Bench, outcome
from training.tuning import TuneResult, _bench, tune
from training.validation import churn_losses, value_losses

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)
KINDS = ("xgboost", "logistic", pytest.param("forest", marks=pytest.mark.slow))
TRIALS = 5


def _project(folder: Path, log: pl.DataFrame | None = None) -> Settings:
    settings = load_settings(write_small_project(folder, small_log(300) if log is None else log))
    ingest(settings)
    return settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return _project(tmp_path_factory.mktemp("tuned"))


def _made(settings: Settings, kind: str) -> tuple[Bench, Split]:
    return _bench(settings, AS_OF, kind, CPU, IN_PROCESS)


def _losses(fitted: Fit, bench: Bench, frame: pl.DataFrame) -> dict[Target, float]:
    """By the model's own predictions, not by the trial's code."""
    later = bench.calibrate.rows(frame, bench.task.seed)
    rows = trials.held(bench).rows["churn"][1]
    assert len(rows) == len(later)
    p = replace(fitted.model, calibrator=replace(fitted.model.calibrator, slope=1, intercept=0))
    p = p.churn_probability(rows.x)
    margin = np.log(p) - np.log1p(-p)
    mean = fitted.model.expected_value(rows.x)
    assert mean is not None
    value = later["value"].to_numpy()
    return {
        "churn": float(churn_losses(margin, later["churn"].to_numpy(), rows.fold).mean()),
        "value": float(value_losses(mean, value, rows.fold).mean()),
    }


def _params(kind: str) -> dict[str, float]:
    some = {"depth": 5, "bins": 64, "leaf": 9}
    return {n: some.get(n, (r.low * r.high) ** 0.5) for n, r in SPACES[kind].items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_is_a_fit_of_the_recipe(settings: Settings, kind: str) -> None:
    bench, split = _made(settings, kind)
    frame = read(bench.snapshots)
    params = _params(kind)
    pair = pair_of(kind, dict.fromkeys(TARGETS, params), bench.task.seed)
    expected = _losses(fit(frame, split.fit, split.calibrate, pair, bench.task), bench, frame)
    for target in TARGETS:
        found = outcome(bench, Asked(target, params))
        assert found.loss == pytest.approx(expected[target], abs=1e-9)
        assert found.params == params


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_lies_in_the_space(settings: Settings, kind: str) -> None:
    """What it settles on is a trial like any other, and fits the same."""
    bench, _ = _made(settings, kind)
    for target in TARGETS if kind != "forest" else TARGETS[:1]:
        default = outcome(bench, Asked(target, None))
        spec_with(kind, target, default.params, 0)
        again = outcome(bench, Asked(target, default.params))
        assert replace(again, seconds=0) == replace(default, seconds=0)


class _Unrecorded:
    def trial(self, target: Target, trial: Finished) -> None: ...


def _search(
    bench: Bench, folder: Path, count: int, started: Started
) -> dict[Target, list[Finished]]:
    named = {t: (SPACES[bench.task.kind], trials.shares(bench, t)) for t in TARGETS}
    with studies(folder, named, bench.task.seed) as opened:
        by_target = {target: opened[target] for target in TARGETS}
        search = Search(bench, by_target, Wanted(trials=count), started, folder / "staging")
        search.run(_Unrecorded())  # type: ignore[arg-type]
        return {t: [replace(f, seconds=0) for f in s.finished()] for t, s in by_target.items()}


def _one_by_one(bench: Bench, folder: Path, count: int = 3) -> dict[Target, list[Finished]]:
    with connected(InProcess(1)) as started:
        return _search(bench, folder, count, started)


def test_the_test_slice_does_not_matter(settings: Settings, tmp_path: Path) -> None:
    """Half of the users fall silent after its cutoff: other labels there, the same search."""
    bench, split = _made(settings, "logistic")
    test = split.test.cutoffs[0].at
    last = small_log(300)["when"].max()
    silent = (pl.col("customer") < "00150") & (pl.col("when") >= test) & (pl.col("when") < last)
    changed, _ = _made(_project(tmp_path / "other", small_log(300).filter(~silent)), "logistic")
    labels = [read(b.snapshots, split.test.cutoffs)["churn"].sum() for b in (bench, changed)]
    assert labels[1] > labels[0] + 20
    assert bench.digest != changed.digest
    found = [_one_by_one(b, tmp_path / b.digest) for b in (bench, changed)]
    assert found[0] == found[1]


@pytest.mark.slow
def test_what_came_after_the_test_cutoff_is_in_no_label(tmp_path: Path) -> None:
    test = AS_OF - timedelta(days=21)
    log = small_log(150).filter(pl.col("when") < AS_OF)
    late = pl.col("when").is_between(test - timedelta(days=30), test) & (pl.col("id") % 3 == 0)
    came = pl.when(late).then(test + timedelta(days=3)).otherwise("when")
    found = []
    for name, one in (("late", log), ("never", log.filter(~late))):
        config = write_small_project(tmp_path / name, one.with_columns(came=came))
        told = config.read_text().replace("event_id =", 'received = "came"\nevent_id =')
        config.write_text(told)
        settings = load_settings(config)
        ingest(settings)
        bench, split = _made(settings, "logistic")
        assert split.test.cutoffs[0].at == test
        found.append(trials.held(bench).rows)
    for one, other in zip(found[0]["churn"], found[1]["churn"], strict=True):
        assert one.churn.tolist() == other.churn.tolist()
        assert one.value.tolist() == other.value.tolist()


def test_processes_try_the_same_and_find_the_same(settings: Settings, tmp_path: Path) -> None:
    bench, _ = _made(settings, "logistic")
    with connected(parse_cluster("local:2")) as started:
        assert started.slots == 2
        theirs = _search(bench, tmp_path / "there", 4, started)
    with connected(InProcess(1)) as started:
        ours = _search(bench, tmp_path / "here", 4, replace(started, slots=2))
    assert theirs == ours
    assert [len(found) for found in theirs.values()] == [4, 4]
    assert not list((tmp_path / "there" / "staging").glob("*.json"))


@pytest.mark.slow  # in a toy: test_studies
def test_a_hopeless_trial_is_not_fitted_on_all(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "LEAST_ROWS", 50)
    bench, _ = _made(settings, "logistic")
    assert trials.shares(bench, "churn") == (*trials.SHARES, 1.0)
    found = _one_by_one(bench, tmp_path, 12)
    stopped = [one for each in found.values() for one in each if one.loss is None]
    assert stopped
    for one in stopped:
        assert one.stopped_at in trials.SHARES
        assert not one.is_default


def test_growing_shares_are_of_the_same_users(settings: Settings) -> None:
    bench, _ = _made(settings, "logistic")
    rows = trials.held(bench).rows["churn"][0]
    few, more = (trials._fewer(rows, share, 0) for share in trials.SHARES)
    assert set(few.users) < set(more.users) < set(rows.users)
    assert len(set(more.users)) == pytest.approx(0.3 * len(set(rows.users)), rel=0.4)


def test_a_log_learned_by_steps_is_tuned_alike(settings: Settings) -> None:
    stepwise = settings.model_copy(
        update={"training": settings.training.model_copy(update={"steps": 3})}
    )
    bench, split = _made(stepwise, "logistic")
    assert bench.digest != _made(settings, "logistic")[0].digest
    params = _params("logistic")
    pair = pair_of("logistic", dict.fromkeys(TARGETS, params), bench.task.seed)
    model = fit(read(bench.snapshots), split.fit, split.calibrate, pair, bench.task).model
    rows = trials.held(bench).rows["churn"][1]
    assert len(rows) > len(split.calibrate.rows(read(bench.snapshots), 0))
    losses = churn_losses(model.churn.margin(rows.x), rows.churn, rows.fold)
    assert outcome(bench, Asked("churn", params)).loss == pytest.approx(losses.mean(), rel=1e-12)


@pytest.fixture(scope="module")
def tuned(settings: Settings) -> tuple[TuneResult, list[tuple[Any, ...]]]:
    """A whole search, and what the training with the winner was given and found."""
    seen: list[tuple[Any, ...]] = []

    def spied(*given: Any) -> Any:
        seen.append((given, real(*given)))
        return seen[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        real = recipe.run_recipe
        patch.setattr(recipe, "run_recipe", spied)
        return tune(settings, AS_OF, Wanted("logistic", TRIALS), CPU), seen


def test_the_winner_retrains_to_the_same_figure(
    tuned: tuple[TuneResult, list[tuple[Any, ...]]], settings: Settings
) -> None:
    result, ((given, trained),) = tuned
    frame, split, spec, task, *_ = given
    bench, _ = _made(settings, "logistic")
    assert spec == tuned_spec(result.file, None, 0)[1]
    assert trained.settled == spec
    again = _losses(fit(frame, split.fit, split.calibrate, spec, task), bench, frame)
    for target, one in result.found.items():
        assert again[target] == pytest.approx(one.loss, abs=1e-9)
        assert one.loss <= one.default_loss
        assert one.gain == pytest.approx(one.default_loss - one.loss, abs=1e-12)
        assert one.trials == TRIALS


def test_it_is_found_in_mlflow(
    tuned: tuple[TuneResult, list[tuple[Any, ...]]], settings: Settings
) -> None:
    result, _ = tuned
    uri = f"sqlite:///{settings.tracking.resolve() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    parent = client.get_run(result.tuning_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["winner_run"] == result.training.run_id
    for target, one in result.found.items():
        assert parent.data.metrics[f"validation_{target}_loss"] == one.loss
        assert parent.data.params[f"{target}_strength"] == str(one.settings["strength"])
    below = client.search_runs(
        [parent.info.experiment_id],
        f"tags.`{tracking.PARENT_TAG}` = '{result.tuning_run_id}'",
    )
    assert len(below) == 2 * TRIALS
    assert {run.info.status for run in below} == {"FINISHED"}
    best = min(
        run.data.metrics["validation_churn_loss"]
        for run in below
        if run.data.params["target"] == "churn" and run.data.params["state"] == "finished"
    )
    assert best == result.found["churn"].loss
    assert sum(run.data.params["default"] == "True" for run in below) == 2
    listed = {run.run_id for run in tracking.list_runs(settings)}
    assert listed == {result.tuning_run_id, result.training.run_id}
    winner = client.get_run(result.training.run_id)
    assert winner.data.tags["holdfast.tuned_by"] == result.tuning_run_id


def test_the_page_says_what_matters_and_stands_alone(
    tuned: tuple[TuneResult, list[tuple[Any, ...]]], settings: Settings
) -> None:
    result, _ = tuned
    folder = settings.tracking / "artifacts" / result.tuning_run_id / "artifacts"
    page = (folder / "tuning.html").read_text()
    for heading in ("what matters", "history", "slices of strength", "parallel coordinates"):
        assert f"Churn: {heading}" in page
    figures = page.split("const FIGURES = ")[1]
    assert '"y": ["strength"]' in figures or '"y":["strength"]' in figures
    assert f"{result.found['churn'].loss:.5f}" in page
    assert "<script src" not in page
    assert json.loads((folder / "winner.json").read_text())["model"] == "logistic"


def test_again_it_tries_nothing_twice(
    tuned: tuple[TuneResult, list[tuple[Any, ...]]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a trial was fitted again")

    monkeypatch.setattr(trials, "outcome", refuse)
    again = tune(settings, AS_OF, Wanted("logistic", TRIALS), CPU)
    assert again.found == tuned[0].found
    assert again.training.metrics == tuned[0].training.metrics


def test_two_at_the_same_search_are_refused(settings: Settings) -> None:
    bench, _ = _made(settings, "logistic")
    staging = settings.store / ".staging" / f"tune-{bench.digest}"
    with writing_to(staging), pytest.raises(StoreError, match="is writing to it"):
        tune(settings, AS_OF, Wanted("logistic", 1), CPU)


def test_settings_that_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--trials 0"):
        Wanted(trials=0).check()
    with pytest.raises(UsageError, match="--minutes 0"):
        Wanted(minutes=0.0).check()
    with pytest.raises(UsageError, match=r"strength 9\.0; give 1e-05 to 3"):
        spec_with("logistic", "churn", {"strength": 9.0}, 0)
    with pytest.raises(UsageError, match="settings eta; give strength"):
        spec_with("logistic", "churn", {"eta": 1.0}, 0)
    with pytest.raises(UsageError, match=r"depth 2\.5; give 1 to 8, whole"):
        spec_with("xgboost", "churn", _params("xgboost") | {"depth": 2.5}, 0)
    file = tmp_path / "winner.json"
    for text in ("", "[]", '{"model": "logistic"}', '{"model": "logistic", "settings": 3}'):
        file.write_text(text)
        with pytest.raises(ModelError, match="holds no settings"):
            tuned_spec(file, None, 0)
    file.write_text('{"model": "logistic", "settings": {"churn": {"strength": 0.1}}}')
    assert tuned_spec(file, "logistic", 0)[1].churn.churn_strength == 0.1
    with pytest.raises(UsageError, match=r"--model forest: .* is of logistic"):
        tuned_spec(file, "forest", 0)


def test_no_time_is_left_for_more_than_the_default(settings: Settings, tmp_path: Path) -> None:
    bench, _ = _made(settings, "logistic")
    named = dict.fromkeys(TARGETS, (SPACES["logistic"], (1.0,)))
    with studies(tmp_path, named, 0) as opened, connected(InProcess(1)) as started:
        by_target = {target: opened[target] for target in TARGETS}
        wanted = Wanted(trials=50, minutes=timedelta(microseconds=1) / timedelta(minutes=1))
        Search(bench, by_target, wanted, started, tmp_path / "staging").run(_Unrecorded())  # type: ignore[arg-type]
        for study in by_target.values():
            assert [trial.is_default for trial in study.finished()] == [True]


def test_no_batch_begins_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The churn's took all that was left: the one of value, whose turn it was, is not begun."""

    class Tried:
        def finished(self) -> list[Finished]:
            return [Finished(0, {}, 1.0, None, True, 1.0, None)]

    began: list[Target] = []

    def batch(search: Search, target: Target, *_: object) -> None:
        began.append(target)
        search.until = 0.0

    monkeypatch.setattr(Search, "_batch", batch)
    wanted = Wanted(trials=50, minutes=5.0)
    Search(None, {target: Tried() for target in TARGETS}, wanted, None, Path()).run(_Unrecorded())  # type: ignore
    assert began == [TARGETS[0]]
