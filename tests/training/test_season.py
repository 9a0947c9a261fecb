"""The season of a year ago moves churn and value where years are alike, and nothing later does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from level_worlds import SPAN
from training_frames import a_year

from benchmarks.over_time import case_of, figures_of
from benchmarks.shop_world import write_shop
from runtime.clock import EPOCH
from training.binned import binned
from training.calibration import Calibrator
from training.level_rows import LevelRows
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


def seasoned(candidate: str, weight: float, days_ago: float = SPAN.embargo_days) -> Season:
    """Of a model that was calibrated on the labels of so long ago."""
    return season_of(LEVEL, EPOCH, EPOCH - timedelta(days=days_ago), candidate, weight)


def test_what_is_measured_already_is_not_added_again() -> None:
    whole = seasoned("none", 0.0)
    assert whole.pace == pytest.approx(LEVEL.years[EPOCH].change(0, 60, 60))
    assert seasoned("trend", 1.0).pace == whole.pace
    newest = seasoned("period", 1.0)
    assert newest.pace == pytest.approx(LEVEL.years[EPOCH].change(0, 60, 15))
    assert 0 < newest.pace < whole.pace
    half = seasoned("period", 0.5).pace
    assert half == pytest.approx((newest.pace + whole.pace) / 2)
    assert seasoned("period", 0.0).pace == whole.pace
    assert seasoned("year_change", 1.0).pace == 0.0


@pytest.mark.parametrize("days_ago", [60.0, 91.0, 150.0])
def test_a_season_is_counted_from_the_horizon_that_the_calibration_is_of(days_ago: float) -> None:
    """Horizons of churn and of value differ, and the longer one says how old the newest label is:
    each began at the same cutoff."""
    found = seasoned("none", 0.0, days_ago)
    year, value_year = LEVEL.years[EPOCH], LEVEL.value_years[EPOCH]

    def pace(start: float, end: float) -> float:
        """Its mean logarithm between two numbers of days from now, a year ago, by hand."""
        days = 7 * YEAR - np.arange(start, end, 0.25) - 0.125
        return float(np.log(np.exp(PACE[(days // 7).astype(int)]).mean()))

    wanted = pace(0, 60) - pace(-days_ago, 60 - days_ago)
    assert found.pace == pytest.approx(year.alike * wanted, rel=1e-3)
    wanted = pace(0, 91) - pace(-days_ago, 91 - days_ago)
    assert np.log(found.value_factor) == pytest.approx(value_year.alike * wanted, rel=1e-3)


def test_what_was_calibrated_on_the_coming_horizon_needs_no_season() -> None:
    """A log of one stage is calibrated by other users at the cutoff that it is measured at."""
    assert not seasoned("none", 0.0, 0.0).moves


def test_where_nothing_is_known_nothing_moves() -> None:
    unknown = replace(LEVEL, years={}, value_years={})
    none = season_of(unknown, EPOCH, EPOCH - timedelta(days=60), "period", 1.0)
    assert none == Season()
    assert none.note(0.0) == ""
    assert not none.moves
    assert seasoned("period", 1.0).moves
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
