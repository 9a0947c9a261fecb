"""A horizon learned by steps: the rows it is learned from, the model, and logs that are young."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from oracles.stepwise_naive import stacked_rows
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project
from training_frames import NEWEST, a_task

from events.ingest import ingest
from events.store import open_store
from features.snapshots import build_snapshots, read
from features.steps import labelled_until, shortened, steps_of
from features.time import Cutoff
from runtime.device import Device
from runtime.errors import LabelError
from runtime.settings import Settings, load_settings
from training.churn_interval import drift_notes
from training.fitting import fit
from training.kinds import spec_of
from training.plan import Plan, plan_of
from training.prepare import snapshots_of
from training.recipe import run_recipe
from training.refit import refitted
from training.split import Slice, plan_split, with_recent
from training.stepwise import STEP, Step, at_step, longest_known, stacked, steps_in
from training.task import Task

DAY = timedelta(days=1)
CPU = Device("cpu", "test")
STEPS = (
    Step(10, "churn_10", "value_10", 10 * DAY),
    Step(20, "churn_20", "value_20", 20 * DAY),
    Step(30, "churn", "value", 30 * DAY),
)
FEATURES = ("a", "b")

people = st.lists(
    st.fixed_dictionaries(
        {
            "back_on": st.none() | st.integers(0, 40),
            "known_days": st.integers(0, 45),
            "cutoff": st.integers(0, 5).map(lambda k: NEWEST - 7 * k * DAY),
            "spends": st.lists(st.integers(-5, 20), min_size=3, max_size=3),
        }
    ),
    min_size=1,
    max_size=25,
)


def labelled_frame(people: list[dict[str, Any]], silence: bool) -> pl.DataFrame:
    """Users who are back (or gone) on a day after the cutoff, of whom so many days are known."""
    rows = []
    for number, one in enumerate(people):
        row = {"cutoff": one["cutoff"], "user_id": f"u{number}", "a": 1.0 * number, "b": 0.5}
        for k, step in enumerate(STEPS):
            known = one["known_days"] >= step.days
            happened = one["back_on"] is not None and one["back_on"] < step.days
            row[step.churn] = int(happened != silence) if known else None
            row[step.value] = float(sum(one["spends"][: k + 1])) if known else None
        rows.append(row)
    kinds = {s.churn: pl.Int8 for s in STEPS} | {s.value: pl.Float64 for s in STEPS}
    return pl.DataFrame(rows).with_columns(pl.col(n).cast(t) for n, t in kinds.items())


@trials(max_examples=100, deadline=None)
@given(people=people, silence=st.booleans(), until=st.none() | st.integers(-20, 40))
def test_rows_equal_those_made_one_at_a_time(
    people: list[dict[str, Any]], silence: bool, until: int | None
) -> None:
    frame = labelled_frame(people, silence)
    end = None if until is None else NEWEST + until * DAY
    ended = 0 if silence else 1
    waits, brings = stacked_rows(frame.to_dicts(), STEPS, ended, end)
    if not waits:
        with pytest.raises(LabelError, match="no labelled user to fit on"):
            stacked(frame, FEATURES, STEPS, ended, end, "fit", 0)
        return
    found = stacked(frame, FEATURES, STEPS, ended, end, "fit", 0)
    assert found.hazard.features == (*FEATURES, STEP)
    rows = zip(found.hazard.users, found.hazard.x[:, -1], found.hazard.churn, strict=True)
    assert sorted(rows) == sorted((user, step, over) for user, _, step, over in waits)
    assert found.value is not None
    assert found.value.value is not None
    rows = zip(found.value.users, found.value.x[:, -1], found.value.value, strict=True)
    assert sorted(rows) == sorted((user, step, value) for user, _, step, value in brings)
    own = {f"u{n}": float(n) for n in range(len(people))}
    assert [own[user] for user in found.hazard.users] == found.hazard.x[:, 0].tolist()


def test_who_is_back_in_a_step_waits_no_longer() -> None:
    """By hand: back on day 12, spending 5 by then and 3 more later; 30 days are known."""
    one = {"back_on": 12, "known_days": 30, "cutoff": NEWEST, "spends": [0, 5, 3]}
    found = stacked(labelled_frame([one], True), FEATURES, STEPS, 0, None, "fit", 0)
    assert found.hazard.x[:, -1].tolist() == [0, 1]
    assert found.hazard.churn.tolist() == [0, 1]
    assert found.value is not None
    assert found.value.value is not None
    assert found.value.value.tolist() == [0, 5, 3]


def test_a_large_frame_keeps_users_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"back_on": None, "known_days": 30, "cutoff": NEWEST, "spends": [1, 1, 1]}
    frame = labelled_frame([one] * 400, True)
    monkeypatch.setattr("training.stepwise.MOST_ROWS", 600)
    found = stacked(frame, FEATURES, STEPS, 0, None, "fit", 0)
    users, rows = np.unique(found.hazard.users, return_counts=True)
    assert set(rows) == {3}
    assert 150 < len(users) < 250


def world(silence: bool, users: int = 2500, seed: int = 0) -> pl.DataFrame:
    """Two cutoffs; the wait ends with a daily rate that `a` decides, and each end brings 10."""
    random = np.random.default_rng(seed)
    frames = []
    for back in (60, 0):
        a = random.normal(size=users)
        day = np.floor(random.exponential(30 * np.exp(-a)))
        known = 30 if back else 10
        made = [
            {
                "back_on": int(d),
                "known_days": known,
                "cutoff": NEWEST - back * DAY,
                "spends": [0] * 3,
            }
            for d in day
        ]
        frame = labelled_frame(made, silence).with_columns(a=pl.Series(a))
        paid = [
            pl.when(pl.col(s.churn).is_not_null())
            .then(10.0 * pl.Series(day < s.days).cast(pl.Float64))
            .alias(s.value)
            for s in STEPS
        ]
        frames.append(frame.with_columns(paid))
    return pl.concat(frames)


def task_of(kind: str, silence: bool) -> Task:
    task = a_task(kind)
    churn = task.spec.definitions.churn.model_copy(
        update={"kind": "passive" if silence else "active", "events": ("bye",)}
    )
    spec = replace(task.spec, definitions=replace(task.spec.definitions, churn=churn))
    return replace(task, spec=spec, features=FEATURES, steps=STEPS)


@pytest.mark.parametrize(
    ("kind", "silence"),
    [
        ("xgboost", True),
        ("logistic", False),
        pytest.param("xgboost", False, marks=pytest.mark.slow),
        pytest.param("logistic", True, marks=pytest.mark.slow),
    ],
)
def test_steps_give_the_probability_of_the_horizon(
    kind: str, silence: bool, tmp_path: Path
) -> None:
    """The truth: gone quiet for 30 days with probability exp(-30 rate), or its complement."""
    frame = world(silence)
    slices = Slice(tuple(Cutoff(at) for at in frame["cutoff"].unique()))
    task = task_of(kind, silence)
    model = fit(frame, slices, slices, spec_of(kind, 0), task).model
    assert model.steps == (10, 20, 30)
    at = np.linspace(-1.5, 1.5, 7)
    asked = pl.DataFrame({"a": at, "b": 0.5})
    quiet = np.exp(-np.exp(at))
    found = model.predict(asked)
    expected = quiet if silence else 1 - quiet
    assert found["churn_probability"].to_numpy() == pytest.approx(expected, abs=0.1)
    by_step = [model.until(d).predict(asked) for d in (10, 20, 30)]
    curve = np.array([p["churn_probability"].to_numpy() for p in by_step])
    assert (np.diff(curve, axis=0) <= 0).all() if silence else (np.diff(curve, axis=0) >= 0).all()
    assert (np.diff([p["expected_value"].to_numpy() for p in by_step], axis=0) > 0).all()
    assert found["expected_value"].to_numpy() == pytest.approx(10 * (1 - quiet), abs=2.5)
    parts = model.contributions(asked)
    assert parts.shape == (7, 2)
    assert (np.sign(parts[-1, 0]) < 0) == silence  # a high rate: back soon, or gone soon
    loaded = type(model).load(model.save(tmp_path / "model"))
    assert_frame_equal(loaded.predict(asked), found)
    x = model.rows(asked)
    other = replace(model, calibrator=model.calibrator.moved(0.7, 1.0, 0.0))
    level = refitted(other, model, (x, x)).churn_probability(x).mean()
    assert level == pytest.approx(other.churn_probability(x).mean())


@pytest.mark.parametrize(
    ("back_on", "words"), [(0, "none churns; shorten"), (None, "all churn; len")]
)
def test_one_class_is_told_of_churn_and_of_users(back_on: int | None, words: str) -> None:
    """A row of silence says 1 of who came back, who does not churn; and there is one a step."""
    one = {"back_on": back_on, "known_days": 45, "cutoff": NEWEST, "spends": [1, 1, 1]}
    frame = labelled_frame([one] * 40, silence=True)
    at = Slice((Cutoff(NEWEST),))
    with pytest.raises(LabelError, match=f"of 40 labelled users {words}"):
        fit(frame, at, at, spec_of("logistic", 0), task_of("logistic", silence=True))


def test_ranges_are_learned_at_the_longest_horizon_that_is_known() -> None:
    """The newest cutoff knows 10 days only, the one before all 30."""
    frame = world(silence=True)
    older = frame["cutoff"].min()
    found, step = longest_known(frame, STEPS, None)
    assert (step, found["cutoff"].unique().to_list()) == (STEPS[2], [older])
    assert found["churn"].null_count() == 0
    known, step = longest_known(frame, STEPS, older + 25 * DAY)
    assert step == STEPS[1]
    assert known["value"].equals(frame.filter(pl.col("cutoff") == older)["value_20"])
    assert longest_known(frame, STEPS, older)[0].is_empty()
    assert longest_known(frame.filter(pl.col("cutoff") > older), STEPS, None)[1] == STEPS[0]


def test_intervals_of_steps_are_about_what_the_steps_make_together() -> None:
    frame = world(silence=True)
    slices = Slice(tuple(Cutoff(at) for at in frame["cutoff"].unique()))
    model = fit(frame, slices, slices, spec_of("logistic", 0), task_of("logistic", True)).model
    found = model.predict(frame)
    for low, middle, high in (
        ("churn_low", "churn_probability", "churn_high"),
        ("value_low", "median_value", "value_high"),
    ):
        assert (found[low] <= found[middle]).all()
        assert (found[middle] <= found[high]).all()
    odds = (pl.col(name).log() - (1 - pl.col(name)).log() for name in found.columns[:3])
    middle, low, high = found.select(odds).to_numpy().T
    assert (high - middle) == pytest.approx(middle - low)
    assert model.churn_interval is not None
    assert not model.churn_interval.drift_measured
    assert "assume that churn's level drifts by 0.3" in drift_notes(model.churn_interval)[0]
    assert (
        drift_notes(replace(model.churn_interval, drift_measured=True)) == drift_notes(None) == ()
    )


def test_recent_cutoffs_are_added_and_every_stage_is_closed() -> None:
    matured = [Cutoff(NEWEST - 30 * k * DAY) for k in range(8)]
    split = plan_split(matured, 30 * DAY)
    recent = [Cutoff(NEWEST + 7 * k * DAY) for k in (1, 2)]
    wide = with_recent(split, [*recent, *matured], 10 * DAY, 6)
    assert wide.test == split.test
    assert wide.served_calibrate.cutoffs == (*reversed(recent), *split.served_calibrate.cutoffs)
    assert wide.served_calibrate.until is None
    for slice_, end in ((wide.fit, wide.calibrate), (wide.calibrate, wide.test)):
        until = slice_.until
        assert until is not None
        assert until <= min(c.at for c in end.cutoffs) or end is wide.test
        assert until <= wide.test.cutoffs[0].at
        assert all(c.at + 10 * DAY <= until for c in slice_.cutoffs)


def project(folder: Path, users: int = 250, **training: Any) -> Settings:
    settings = load_settings(write_small_project(folder, small_log(users)))
    ingest(settings)
    return settings.model_copy(update={"training": settings.training.model_copy(update=training)})


def trained(settings: Settings, as_of: datetime) -> tuple[Plan, Any]:
    store = open_store(settings, as_of)
    plan = plan_of(settings, store)
    from features.learn import learn_spec

    spec = learn_spec(store, plan.learn_before, settings)
    taken = snapshots_of(settings, store, plan, spec, CPU)
    task = Task("logistic", spec, taken.features, as_of, 0, CPU, plan.steps, plan.measured)
    return plan, run_recipe(read(taken), plan.split, spec_of("logistic", 0), task, draws=0)


def test_a_young_log_learns_by_steps_and_says_so(tmp_path: Path) -> None:
    settings = project(tmp_path, users=400)
    horizon = 90
    churn = settings.churn.model_copy(update={"horizon_days": horizon})
    settings = settings.model_copy(update={"churn": churn})
    first = open_store(settings).first
    young = first.replace(hour=0, minute=0, second=0, microsecond=0) + (horizon + 20) * DAY
    plan, found = trained(settings, young)
    assert plan.measured is not None
    assert plan.measured.days < horizon
    assert found.model.steps == steps_of(settings)
    assert any(f"no label of {horizon} days has matured" in note for note in found.notes)
    assert found.evaluation.metrics["test_rows"] > 10
    assert found.evaluation.metrics["churn_base_rate"] < 1


def test_a_log_that_is_old_enough_learns_the_horizon_as_one(tmp_path: Path) -> None:
    settings = project(tmp_path)
    plan, found = trained(settings, datetime(2024, 8, 1, tzinfo=UTC))
    assert (plan.steps, plan.measured, found.model.steps) == ((), None, ())
    asked = settings.model_copy(
        update={"training": settings.training.model_copy(update={"steps": 3})}
    )
    plan, found = trained(asked, datetime(2024, 8, 1, tzinfo=UTC))
    assert len(plan.steps) == len(found.model.steps) == 3
    assert plan.measured is None


def test_labels_of_steps_are_those_of_shorter_horizons(tmp_path: Path) -> None:
    settings = project(tmp_path, steps=3)
    store = open_store(settings, datetime(2024, 8, 1, tzinfo=UTC))
    steps = steps_in(settings)
    days = tuple(step.days for step in steps)
    plan = plan_of(settings, store)
    from features.learn import learn_spec

    spec = learn_spec(store, plan.learn_before, settings)
    found = read(snapshots_of(settings, store, plan, spec, CPU))
    latest = labelled_until(store, settings, days)
    assert found.filter(pl.col("churn").is_null()).height > 0
    for step, until in zip(steps, latest, strict=True):
        known = [cutoff for cutoff in plan.split.cutoffs if cutoff.at <= until]
        alone = read(build_snapshots(shortened(settings, step.days), store, known, spec, CPU, True))
        mine = found.filter(pl.col("cutoff") <= until)
        expected = alone.select("cutoff", "user_id", "churn", "value")
        same = mine.select("cutoff", "user_id", churn=step.churn, value=step.value)
        assert_frame_equal(same, expected)
        later = found.filter(pl.col("cutoff") > until)
        assert later[step.churn].null_count() == later.height


def test_at_step_adds_the_number_of_the_step() -> None:
    assert at_step(np.ones((2, 1), np.float32), 4).tolist() == [[1, 4], [1, 4]]
