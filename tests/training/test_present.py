"""Calibration is carried to the present by what is known there, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_frames import FEATURES, a_task, a_year

from features.time import Cutoff
from runtime.settings import Settings
from training.binned import binned
from training.calibration import Calibrator
from training.churn_level import Span
from training.early import early_days
from training.fitting import fit
from training.kinds import spec_of
from training.level_rows import LevelRows, cutoffs_about, known_at
from training.metrics import Floats, calibration_error
from training.model import Model
from training.period import Cell, cells, moved
from training.present import Carried, carried, carried_notes, newest_rows
from training.recipe import run_recipe
from training.rows import labelled
from training.split import Split, plan_split
from training.years import YEAR

HORIZON, STEP = 60, 15
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
SPAN = Span(0.0, float(HORIZON))
EMBARGO = timedelta(days=HORIZON)
CUTOFFS = [Cutoff(FIRST + timedelta(days=STEP * k)) for k in range(17)]
TEST = CUTOFFS[12]  # a horizon before the end
SPLIT: Split = plan_split(CUTOFFS[:13], EMBARGO, 4)


def calm(day: Floats) -> Floats:
    return np.zeros(len(day))


def slump(day: Floats) -> Floats:
    """From half way between the calibration and the test cutoff on everybody comes less often."""
    return np.where(day >= STEP * 10, -1.0, 0.0)


def world(path: object, seed: int, users: int = 1500) -> pl.DataFrame:
    """A row a cutoff and user: features, and silence by the end of 15, 30, 45 and 60 days."""
    assert callable(path)
    random = np.random.default_rng(seed)
    days = np.arange(STEP * 16 + HORIZON + 1)
    total = np.concatenate([[0.0], np.cumsum(np.exp(path(days)))])
    frames = []
    for k, cutoff in enumerate(CUTOFFS):
        taste = random.normal(-0.5, 1.0, users)
        quiet = random.exponential(1.0, users) / (np.exp(taste) / HORIZON)
        day = k * STEP
        seen = {d: (quiet >= total[day + d] - total[day]).astype(np.int8) for d in (15, 30, 45, 60)}
        noise = {name: random.normal(size=users) for name in FEATURES[1:]}
        at = pl.Series([cutoff.at] * users, dtype=pl.Datetime("us", "UTC"))
        frames.append(
            pl.DataFrame(
                {"cutoff": at, "user_id": [f"u{i:05d}" for i in range(users)]}
                | {FEATURES[0]: taste + random.normal(0, 0.3, users), **noise}
                | {"churn": seen[60], "value": np.zeros(users)}
                | {f"churn_{d}d": seen[d] for d in (15, 30, 45)}
            )
        )
    return pl.concat(frames)


def level_of(frame: pl.DataFrame) -> LevelRows:
    now = CUTOFFS[16].at
    some = frame.filter(pl.col("cutoff").is_in([c.at for c in CUTOFFS[4:16]])).drop("value")
    return LevelRows(known_at(some, now, SPAN), SPAN, now)


def main_rows(frame: pl.DataFrame) -> pl.DataFrame:
    held = pl.col("cutoff").is_in([c.at for c in SPLIT.cutoffs])
    return frame.filter(held).drop("churn_15d", "churn_30d", "churn_45d")


def fitted(frame: pl.DataFrame) -> Model:
    spec = spec_of("logistic", 0)
    return fit(main_rows(frame), SPLIT.fit, SPLIT.calibrate, spec, a_task("logistic")).model


def carry(frame: pl.DataFrame, model: Model | None = None, served: bool = False) -> Carried:
    return carried(model or fitted(frame), main_rows(frame), level_of(frame), SPLIT, served, 0)


def errors(frame: pl.DataFrame) -> tuple[float, float]:
    """ECE at the test cutoff without and with what is carried."""
    found = carry(frame)
    test = labelled(frame.filter(pl.col("cutoff") == TEST.at), FEATURES, "test", 0)
    without, with_ = (
        calibration_error(test.churn, model.churn_probability(test.x), np.ones(len(test)))
        for model in (found.plain, found.model)
    )
    return float(without), float(with_)


def test_the_split_is_in_stages() -> None:
    assert SPLIT.test.cutoffs == (TEST,)
    assert SPLIT.calibrate.cutoffs == (CUTOFFS[8],)


def test_a_level_that_moved_since_the_calibration_is_followed() -> None:
    found = np.array([errors(world(slump, seed)) for seed in range(3)])
    assert found[:, 0].min() > 0.08
    assert (found[:, 1] <= found[:, 0] / 2).all()


def test_a_level_that_stands_still_is_left_about_where_it_is() -> None:
    found = np.array([errors(world(calm, seed)) for seed in range(4)])
    assert (found[:, 1] <= found[:, 0] + 0.012).all()
    assert found[:, 1].mean() <= found[:, 0].mean() + 0.003


def test_nothing_at_or_after_now_changes_what_is_carried() -> None:
    frame = world(slump, 0)
    model = fitted(frame)
    base = carry(frame, model)
    assert base.model.calibrator != model.calibrator
    ends = {"churn": HORIZON, "churn_15d": 15, "churn_30d": 30, "churn_45d": 45}
    turned = frame.with_columns(
        pl.when(pl.col("cutoff") + timedelta(days=days) > TEST.at)
        .then(1 - pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name, days in ends.items()
    ).with_columns(
        pl.when(pl.col("cutoff") > TEST.at)
        .then(pl.col(FEATURES[0]) * 9)
        .otherwise(FEATURES[0])
        .alias(FEATURES[0])
    )
    other = carry(turned, model)
    assert other.model.calibrator == base.model.calibrator
    assert (other.interval, other.rows, other.note) == (base.interval, base.rows, base.note)
    assert carry(turned, model, served=True).model.calibrator != base.model.calibrator


def test_what_is_known_does_change_it() -> None:
    frame = world(slump, 0)
    model = fitted(frame)
    newest = pl.col("cutoff") == CUTOFFS[11].at
    turned = pl.when(newest).then(1 - pl.col("churn_15d")).otherwise(pl.col("churn_15d"))
    other = carry(frame.with_columns(turned.alias("churn_15d")), model)
    assert other.model.calibrator != carry(frame, model).model.calibrator


@pytest.mark.parametrize("when", ["now", "at the test cutoff", "never"])
def test_a_season_that_moves_the_model_that_serves_is_noted(when: str) -> None:
    """Beside the note of the model that is measured, whose present is the test cutoff."""
    frame = world(calm, 0, 400).with_columns(value=pl.lit(1.0))
    level = level_of(frame)
    year = a_year(0.8, 0.5 * np.sin(2 * np.pi * -(np.arange(120) + 0.5) / YEAR))
    years = {"now": {level.now: year}, "at the test cutoff": {TEST.at: year}}.get(when, {})
    spec, task = spec_of("logistic", 0), a_task("logistic")
    trained = run_recipe(main_rows(frame), SPLIT, spec, task, 0, replace(level, years=years))
    moved = [note for note in trained.notes if "the season of a year ago moves it" in note]
    (served,) = (
        note for note in trained.notes if note.startswith("the model that serves: churn's")
    )
    assert len(moved) == (when != "never")
    assert (served in moved) == (when == "now")
    assert served == f"the model that serves: {trained.brought.note}"
    assert trained.brought.season.moves == (when == "now")
    assert trained.level.season.moves == (when == "at the test cutoff")


def test_the_order_of_rows_changes_nothing() -> None:
    frame = world(slump, 1)
    model = fitted(frame)
    level, main = level_of(frame), main_rows(frame)
    mixed = replace(level, frame=level.frame.sample(fraction=1, shuffle=True, seed=5))
    other = main.sample(fraction=1, shuffle=True, seed=6)
    first = carried(model, main, level, SPLIT, False, 0)
    second = carried(model, other, mixed, SPLIT, False, 0)
    again = carried(model, main, level, SPLIT, False, 0)
    assert first == again
    moves = [(one.model.calibrator.shift, one.model.calibrator.stretch) for one in (first, second)]
    assert moves[1] == pytest.approx(moves[0], abs=1e-9)


def lately(day: Floats) -> Floats:
    """After half the label of the newest matured cutoff everybody comes less often."""
    return np.where(day >= STEP * 14, -1.5, 0.0)


def in_one_stage(frame: pl.DataFrame) -> tuple[Carried, float, float]:
    """Of a log whose matured cutoffs lie less than an embargo apart; and the ECE of the users at
    the as-of, whom nothing has seen, without and with what is carried."""
    split = plan_split(CUTOFFS[10:13], EMBARGO, 4)
    assert split.in_one_stage
    at = [c.at for c in split.cutoffs]
    rows = frame.filter(pl.col("cutoff").is_in(at)).drop("churn_15d", "churn_30d", "churn_45d")
    task = a_task("logistic")
    model = fit(rows, split.served_fit, split.served_calibrate, spec_of("logistic", 0), task).model
    young = frame.filter(pl.col("cutoff") >= CUTOFFS[10].at)
    found = carried(model, rows, level_of(young), split, True, 0)
    now = labelled(frame.filter(pl.col("cutoff") == CUTOFFS[16].at), FEATURES, "test", 0)
    without, with_ = (
        calibration_error(now.churn, one.churn_probability(now.x), np.ones(len(now)))
        for one in (found.plain, found.model)
    )
    return found, float(without), float(with_)


def test_a_young_log_of_one_stage_follows_its_newest_weeks_by_half() -> None:
    found, without, with_ = in_one_stage(world(lately, 3))
    assert "followed to 50%" in found.note
    assert with_ < 0.8 * without
    _, still, moved_ = in_one_stage(world(calm, 3))
    assert moved_ < still + 0.02


def test_the_report_and_the_interval() -> None:
    found = carry(world(slump, 0), served=True)
    assert found.interval is not None
    assert found.rows
    assert found.params == {
        "calibration_candidate": found.candidate,
        "calibration_shift": found.shift,
        **found.season.params,
    }
    for row in found.rows:
        assert 0 <= row["ece_carried"] <= 1
        assert 0 < row["base_rate"] < 1
    assert [row["cutoff"] for row in found.rows] == sorted(row["cutoff"] for row in found.rows)
    assert "log-odds" in found.note


def test_a_carry_that_did_harm_is_told() -> None:
    assert carried_notes(0.50, 0.495) == ()
    assert carried_notes(0.40, 0.50) == ()
    (said,) = carried_notes(0.5635, 0.5201)
    assert "0.5635 with" in said
    assert "0.5201 without" in said


def test_where_nothing_is_carried_the_note_says_why() -> None:
    frame = world(calm, 0)
    model = fitted(frame)
    level = level_of(frame)
    cases = {
        "training.level is none": replace(level, why="training.level is none"),
        "2 features are not known": replace(level, frame=level.frame.drop(FEATURES[:2])),
    }
    for why, rows in cases.items():
        found = carried(model, main_rows(frame), rows, SPLIT, False, 0)
        assert found.model is model
        assert why in found.note
        assert found.params["calibration_shift"] == 0.0
        assert found.interval is None
        assert found.plain == model


def test_fits_are_brought_together_on_users_whose_outcome_none_has_seen() -> None:
    frame = world(calm, 0, users=100)
    model, level = fitted(frame), level_of(frame)
    at_as_of = frame.filter(pl.col("cutoff") == CUTOFFS[16].at).select("cutoff", *FEATURES)
    cases = {
        15: level,
        16: LevelRows(at_as_of, SPAN, CUTOFFS[16].at, "one stage"),
        12: LevelRows(pl.DataFrame(), SPAN, CUTOFFS[16].at, "one stage, and nobody is left"),
    }
    for newest, rows in cases.items():
        found = newest_rows(model, main_rows(frame), rows, SPLIT, 0)
        expected = frame.filter(pl.col("cutoff") == CUTOFFS[newest].at)
        assert np.array_equal(found, model.rows(expected)), newest


@given(
    horizon=st.integers(1, 200),
    gap=st.integers(0, 20),
    back=st.integers(0, 900),
    apart=st.integers(0, 300),
    longer=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_cutoffs_are_few_and_known(
    horizon: int, gap: int, back: int, apart: int, longer: int
) -> None:
    """Whatever the horizons: one of value may be `longer` days longer."""
    asked = Settings.model_validate(
        {
            "source": [{"name": "a", "path": "a.csv", "columns": {"user_id": "u", "ts": "t"}}],
            "churn": {"horizon_days": horizon, "gap_days": gap},
        }
    )
    embargo = timedelta(days=horizon + gap + longer)
    test = Cutoff(FIRST)
    calibrate = Cutoff(FIRST - embargo - timedelta(days=apart))
    oldest = Cutoff(calibrate.at - timedelta(days=back))
    now = FIRST + embargo
    found = cutoffs_about(test, calibrate, oldest, now, asked)
    assert {test, calibrate} <= set(found)
    assert len(found) == len(set(found)) <= 12
    assert found == sorted(found, reverse=True)
    first = (early_days(asked) or (horizon,))[0]
    assert all(oldest.at <= c.at <= now - timedelta(days=gap + first) for c in found)


def _cells(factor: float, users: int = 4000) -> tuple[list[Cell], Floats]:
    """Hazards times `factor` in the newest four stretches of calendar."""
    random = np.random.default_rng(0)
    found, margin = [], np.empty(0)
    for age in range(11):
        margin = random.normal(0.4, 1.0, users)
        whole = np.logaddexp(0.0, -margin)  # the hazard summed over a horizon, of P(silence)
        quiet = random.exponential(1.0, users)
        passed, outcomes, ages = np.zeros(users), [], []
        for step in range(4):
            if age - step < 0:
                break
            passed = passed + whole / 4 * (factor if age - step < 4 else 1.0)
            outcomes.append(binned(margin, (quiet >= passed).astype(float)))
            ages.append(age - step)
        found += cells(outcomes, ages, silence=True)
    return found, margin


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.5])
def test_a_hazard_that_changed_is_found_in_the_newest_stretches(factor: float) -> None:
    found, margin = _cells(factor)
    now = binned(margin, np.zeros(len(margin)))
    told = moved(found, 1.0, 0.0, now, 4, silence=True)
    assert told is not None
    p = np.exp(-np.logaddexp(0.0, -margin) * factor)
    z = margin + told.shift + (told.stretch - 1) * (margin - told.middle)
    assert float((1 / (1 + np.exp(-z))).mean()) == pytest.approx(float(p.mean()), abs=0.015)
    assert 0 < told.error < 0.1


def test_too_little_to_tell_is_told_as_nothing() -> None:
    found, margin = _cells(1.0, users=300)
    now = binned(margin, np.zeros(len(margin)))
    assert moved(found, 1.0, 0.0, now, 5, silence=True) is None  # a fifth step nobody saw
    assert moved([], 1.0, 0.0, now, 4, silence=True) is None
    few = [replace(cell, ended=cell.ended * 0) for cell in found]
    assert moved(few, 1.0, 0.0, now, 4, silence=True) is None


def test_every_wait_is_counted_once() -> None:
    found, _ = _cells(1.3, users=500)
    for cell in found:
        assert (cell.ended <= cell.waited + 1e-9).all()
    first = [cell for cell in found if cell.step == 0]
    assert all(cell.waited.sum() == 500 for cell in first)


@given(stretch=st.floats(0.5, 2.0), shift=st.floats(-1.5, 1.5))
@settings(max_examples=30, deadline=None)
def test_a_stretched_calibrator_keeps_ranks_and_survives_json(stretch: float, shift: float) -> None:
    knots = ((-1.0, 0.2), (0.0, 0.4), (1.0, 0.9))
    one = Calibrator(1.1, 0.2, knots, shift, stretch)
    p = one(np.linspace(-6, 6, 200))
    assert (np.diff(p) > 0).all()
    assert Calibrator.from_dict(one.to_dict()) == one
