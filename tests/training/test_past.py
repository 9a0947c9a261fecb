"""Past cutoffs are scored by models that had not seen them, and shorter horizons are labels."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_project import write_small_project
from training_frames import NEWEST, cutoffs, snapshot_frame

from events.ingest import ingest
from events.store import open_store
from features.labels import label_plan
from features.time import Cutoff
from runtime.clock import DAY
from runtime.errors import LabelError
from runtime.settings import load_settings
from training.churn_level import Span, churn_level
from training.coverage import track
from training.early import early_days, early_outcomes, level_cutoffs, step_days
from training.past import (
    Predict,
    Prediction,
    churn_scores,
    out_of_time,
    value_forecasts,
    value_sums,
)
from training.value_level import value_level

EMBARGO = timedelta(days=60)


class Fits:
    """A model of recency alone that remembers what it was fitted on."""

    def __init__(self) -> None:
        self.rows: list[pl.DataFrame] = []

    def __call__(self, rows: pl.DataFrame) -> Predict:
        self.rows.append(rows)
        mean = float(rows["value"].mean() or 0.0)  # type: ignore[arg-type]

        def predict(frame: pl.DataFrame) -> Prediction:
            margin = np.log1p(frame["recency_days"].to_numpy()) - 2.5
            flat = np.full(len(frame), mean)
            return Prediction(margin, flat, flat[:, None] * np.array([0.0, 1.0, 3.0]))

        return predict


def _frame(count: int = 8) -> pl.DataFrame:
    """Cutoffs a month apart, none matured within two months of the newest."""
    frame = snapshot_frame(cutoffs(count), users=150)
    matured = pl.col("cutoff") + EMBARGO <= NEWEST
    seven = (pl.col("cutoff") + timedelta(days=7) <= NEWEST) & (pl.col("churn") >= 0)
    return frame.with_columns(
        pl.when(seven).then(pl.col("churn")).alias("churn_7d"),
        pl.when(seven).then(pl.col("value") / 4).alias("value_7d"),
    ).with_columns(pl.when(matured).then(pl.col(name)).alias(name) for name in ("churn", "value"))


def test_no_model_scores_a_cutoff_that_its_labels_reach() -> None:
    fits = Fits()
    found = out_of_time(_frame(), EMBARGO, fits, seed=0, origins=3)
    assert len(found) == len(fits.rows) == 3
    for series, rows in zip(found, fits.rows, strict=True):
        newest = rows["cutoff"].max()
        assert not series.by_users
        assert rows["churn"].null_count() == 0
        assert series.scored[0].cutoff.at >= newest + EMBARGO  # type: ignore[operator]
        assert series.scored[-1].cutoff.at == NEWEST
        assert series.fitted_on[-1].at == newest
    assert len(found[0].scored) > len(found[-1].scored)


def test_a_young_log_is_scored_by_users_left_out() -> None:
    fits = Fits()
    (series,) = out_of_time(_frame(4), EMBARGO, fits, seed=0)
    assert series.by_users
    there = set(fits.rows[0]["user_id"])
    for past in series.scored:
        assert there.isdisjoint(past.rows["user_id"])
    assert len(series.scored) == 4


def test_one_class_is_named() -> None:
    frame = _frame(4).with_columns(churn=pl.lit(1, dtype=pl.Int8))
    with pytest.raises(LabelError, match="one class only to fit on at past cutoffs"):
        out_of_time(frame, EMBARGO, Fits(), seed=0)


def test_row_order_changes_nothing_and_the_series_feeds_every_judge() -> None:
    frame, span = _frame(), Span(0.0, 60.0)
    one = out_of_time(frame, EMBARGO, Fits(), seed=0)[0]
    two = out_of_time(frame.sample(fraction=1, shuffle=True, seed=1), EMBARGO, Fits(), seed=0)[0]
    scores = [churn_scores(each) for each in (one, two)]
    levels = [churn_level(each[:-1], each[-1], span) for each in scores]
    assert levels[0].shift == levels[1].shift
    assert {7} == set(scores[0][0].early)
    assert scores[0][-1].churn is None
    sums = value_sums(one)
    assert sums[-1].value is None
    assert value_level(sums[:-1], sums[-1].day, span).factor > 0
    tracked = track(value_forecasts(one), (0.05, 0.5, 0.95), one.scored[-1].day, span)
    assert tracked is not None
    assert tracked.conformal.misses == 0.1


def test_early_outcomes_are_the_labels_of_a_shorter_horizon(tmp_path: Path) -> None:
    settings = load_settings(write_small_project(tmp_path))
    ingest(settings)
    store = open_store(settings)
    assert (step_days(settings), early_days(settings)) == (7, (7, 14))
    now = Cutoff(store.covered_until)
    at = level_cutoffs(now, Cutoff(now.at - 30 * DAY), settings)
    assert [(now.at - cutoff.at).days for cutoff in at] == [0, 7, 14, 21, 28]
    found = early_outcomes(store, settings, at[1:], early_days(settings))
    week = found.filter(pl.col("cutoff") == at[1].at)
    assert week["churn_7d"].null_count() == 0
    assert week["churn_14d"].null_count() == len(week)
    older = found.filter(pl.col("cutoff") == at[4].at)
    assert (older["churn_7d"] >= older["churn_14d"]).all()
    short = settings.model_copy(
        update={"churn": settings.churn.model_copy(update={"horizon_days": 14})}
    )
    wanted = label_plan(store.scan_all(), at[4], short, None).collect().sort("user_id")
    assert older["churn_14d"].to_list() == wanted["churn"].to_list()
    with pytest.raises(ValueError, match="no days given"):
        early_outcomes(store, settings, at, ())
