"""Past cutoffs are scored by models that had not seen them, and shorter horizons are labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from training_frames import NEWEST, cutoffs, snapshot_frame

from features.time import Cutoff
from runtime.clock import EPOCH
from runtime.errors import LabelError
from runtime.settings import Settings
from training.churn_level import Span, churn_level
from training.early import early_days, step_days
from training.past import (
    Predict,
    churn_scores,
    day_of,
    out_of_time,
)

EMBARGO = timedelta(days=60)


class Fits:
    """A model of recency alone that remembers what it was fitted on."""

    def __init__(self) -> None:
        self.rows: list[pl.DataFrame] = []

    def __call__(self, rows: pl.DataFrame) -> Predict:
        self.rows.append(rows)
        return lambda frame: np.log1p(frame["recency_days"].to_numpy()) - 2.5


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


def test_row_order_changes_nothing_and_the_series_feeds_the_judge() -> None:
    frame, span = _frame(), Span(0.0, 60.0)
    one = out_of_time(frame, EMBARGO, Fits(), seed=0)[0]
    two = out_of_time(frame.sample(fraction=1, shuffle=True, seed=1), EMBARGO, Fits(), seed=0)[0]
    scores = [churn_scores(each) for each in (one, two)]
    levels = [churn_level(each[:-1], each[-1], span) for each in scores]
    assert levels[0].shift == levels[1].shift
    assert {7} == set(scores[0][0].early)
    assert scores[0][-1].churn is None


def test_a_month_is_looked_at_by_weeks_and_longer_horizons_by_quarters() -> None:
    asked = Settings.model_validate(
        {"source": [{"name": "a", "path": "a.csv", "columns": {"user_id": "u", "ts": "t"}}]}
    )
    wanted = {30: (7, (7, 14, 21)), 91: (22, (22, 44, 66)), 3: (1, (1, 2)), 1: (1, ())}
    for days, found in wanted.items():
        churn = asked.churn.model_copy(update={"horizon_days": days})
        one = asked.model_copy(update={"churn": churn})
        assert (step_days(one), early_days(one)) == found


BEFORE = datetime(2014, 10, 8, 0, 0, 1, tzinfo=UTC)
WIDER = datetime(2014, 11, 10, tzinfo=UTC)  # 2^14 days since 1970: floats lie twice as far apart


@given(
    at=st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    | st.datetimes(
        WIDER.replace(tzinfo=None) - timedelta(days=400),
        WIDER.replace(tzinfo=None),
        timezones=st.just(UTC),
    ),
    days=st.integers(1, 400),
)
@example(at=BEFORE, days=33)
def test_so_many_days_later_is_so_many_days_more(at: datetime, days: int) -> None:
    """Whether a label has matured is asked of these numbers, and most end at the very instant."""
    then = day_of(Cutoff(at + timedelta(days=days)))
    assert day_of(Cutoff(at)) + days == then
    assert EPOCH + timedelta(days=then) == at + timedelta(days=days)
