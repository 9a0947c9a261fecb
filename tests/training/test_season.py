"""The season of a year ago moves churn and value where years are alike, and nothing later does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from level_worlds import SPAN
from training_frames import a_year

from benchmarks.over_time import case_of, figures_of
from benchmarks.shop_world import write_shop
from training.binned import binned
from training.calibration import Calibrator
from training.level_rows import LevelRows
from training.past import EPOCH
from training.present import NOT_ASKED
from training.season import Season, moved_by, season_of
from training.years import YEAR

PACE = 0.5 * np.sin(2 * np.pi * -(np.arange(120) + 0.5) / YEAR)
LEVEL = LevelRows(
    NOT_ASKED.frame,
    SPAN,
    EPOCH,
    years={EPOCH: a_year(0.8, PACE)},
    value_years={EPOCH: a_year(0.5, PACE)},
    value_days=91.0,
)


def test_of_a_shop_with_seasons_the_error_halves(tmp_path: Path) -> None:
    found = figures_of(case_of(write_shop(tmp_path, "season", 0, 5000), "logistic"))
    assert found["rate now"] < found["rate then"] - 0.05
    assert found["with"] < found["ECE without"] / 2
    assert found["loss with"] < found["loss without"]
    assert found["season's pace"] > 0.1
    assert abs(found["bias with"]) < 0.7 * abs(found["value bias"])


def test_of_a_calm_shop_nothing_much_moves(tmp_path: Path) -> None:
    found = figures_of(case_of(write_shop(tmp_path, "calm", 0, 5000), "logistic"))
    assert abs(found["season's pace"]) < 0.08
    assert found["with"] < found["ECE without"] + 0.01
    assert abs(found["bias with"] - found["value bias"]) < 0.08


def test_what_is_measured_already_is_not_added_again() -> None:
    whole = season_of(LEVEL, EPOCH, "none", 0.0)
    assert whole.pace == pytest.approx(LEVEL.years[EPOCH].change(0, 60, 60))
    assert season_of(LEVEL, EPOCH, "trend", 1.0).pace == whole.pace
    newest = season_of(LEVEL, EPOCH, "period", 1.0)
    assert newest.pace == pytest.approx(LEVEL.years[EPOCH].change(0, 60, 15))
    assert 0 < newest.pace < whole.pace
    half = season_of(LEVEL, EPOCH, "period", 0.5).pace
    assert half == pytest.approx((newest.pace + whole.pace) / 2)
    assert season_of(LEVEL, EPOCH, "period", 0.0).pace == whole.pace
    assert season_of(LEVEL, EPOCH, "year_change", 1.0).pace == 0.0
    assert whole.value_factor == pytest.approx(np.exp(LEVEL.value_years[EPOCH].change(0, 91, 91)))


def test_where_nothing_is_known_nothing_moves() -> None:
    none = season_of(replace(LEVEL, years={}, value_years={}), EPOCH, "period", 1.0)
    assert none == Season()
    assert none.note(0.0) == ""
    assert not none.moves
    assert season_of(LEVEL, EPOCH, "period", 1.0).moves
    now = binned(np.linspace(-2, 2, 50), np.zeros(50))
    calibrator = Calibrator(1.2, 0.3)
    assert moved_by(none, calibrator, now) == (calibrator, 0.0)
    nobody = binned(np.empty(0), np.empty(0))
    assert moved_by(Season(1.0, 0.3), calibrator, nobody) == (calibrator, 0.0)


@given(pace=st.floats(0.01, 1.0) | st.floats(-1.0, -0.01), middle=st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_hazards_are_multiplied(pace: float, middle: float) -> None:
    margin = np.random.default_rng(0).normal(middle, 1.0, 4000)
    found, shift = moved_by(Season(1.0, pace), Calibrator(), binned(margin, np.zeros(4000)))
    p = found(margin)
    wanted = (1 / (1 + np.exp(-margin))) ** np.exp(pace)
    assert (shift < 0) == (pace > 0)
    assert p.mean() == pytest.approx(wanted.mean(), abs=0.01)
    order = np.argsort(margin)
    assert (np.diff(p[order]) >= 0).all()
