"""Fitting reads only its own slices, is repeatable, and copes with odd labels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from runtime.errors import LabelError, UsageError
from training.fitting import Fit, fit, relative_value
from training.forest import ForestSpec
from training.kinds import spec_of
from training.rows import labelled
from training.split import Split, plan_split
from training.trees import XGBoostSpec

DAYS = cutoffs(2)[0].at - cutoffs(2)[1].at
SPLIT: Split = plan_split(cutoffs(4), DAYS)
KINDS = ("xgboost", "forest", "logistic")
OF_VALUE = ("two-part", "ziln", "quantile")  # churn by XGBoost


@cache
def _frame() -> pl.DataFrame:
    return snapshot_frame(cutoffs(4), users=500)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return _frame()


def _fit(frame: pl.DataFrame, kind: str, split: Split = SPLIT) -> Fit:
    spec = spec_of(kind, 0)
    if isinstance(spec, ForestSpec):
        spec = replace(spec, trees=40, search_trees=10)
    return fit(frame, split.fit, split.calibrate, spec, a_task(kind))


@cache
def _fitted(kind: str) -> Fit:
    return _fit(_frame(), kind)


@pytest.mark.parametrize("kind", [*KINDS, *OF_VALUE])
def test_it_learns_what_there_is_to_learn(frame: pl.DataFrame, kind: str) -> None:
    model = _fitted(kind).model
    test = SPLIT.test.rows(frame, 0)
    predicted = model.predict(test)
    churn = test["churn"].cast(pl.Boolean)
    p = predicted["churn_probability"]
    assert p.filter(churn).mean() > p.filter(~churn).mean() + 0.1
    later = SPLIT.calibrate.rows(frame, 0)
    told = model.predict(later)["expected_value"].sum()
    assert told == pytest.approx(later["value"].sum(), rel=0.1)


@pytest.mark.parametrize("kind", [*KINDS, *OF_VALUE])
def test_nothing_of_the_test_rows_reaches_the_model(frame: pl.DataFrame, kind: str) -> None:
    """Features and labels of test rows changed, others removed: the same model."""
    at = [c.at for c in SPLIT.test.cutoffs]
    changed = frame.with_columns(
        pl.when(pl.col("cutoff").is_in(at)).then(pl.col(name) * 7 + 1e6).otherwise(pl.col(name))
        for name in (*FEATURES, "value")
    ).with_columns(
        pl.when(pl.col("cutoff").is_in(at)).then(1 - pl.col("churn")).otherwise(pl.col("churn"))
    )
    other = changed.filter(~pl.col("cutoff").is_in(at) | (pl.col("user_id") < "u00100"))
    probe = frame.tail(200)
    base, model = _fitted(kind).model, _fit(other, kind).model
    assert_frame_equal(model.predict(probe), base.predict(probe), check_exact=True)
    assert model.medians == base.medians


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_give_the_same_model(frame: pl.DataFrame, kind: str) -> None:
    probe = frame.tail(300)
    first, second = _fitted(kind).model, _fit(frame, kind).model
    assert_frame_equal(first.predict(probe), second.predict(probe), check_exact=True)
    assert np.array_equal(first.contributions(probe), second.contributions(probe))


def test_the_settled_spec_fits_without_a_search(frame: pl.DataFrame) -> None:
    found = _fitted("xgboost")
    assert isinstance(found.settled, XGBoostSpec)
    assert found.settled.churn
    again = fit(frame, SPLIT.fit, SPLIT.calibrate, found.settled, a_task("xgboost"))
    probe = frame.tail(100)
    assert_frame_equal(again.model.predict(probe), found.model.predict(probe), check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_without_amounts_has_no_value(kind: str) -> None:
    frame = snapshot_frame(cutoffs(4), users=200, amounts=False)
    model = _fit(frame, kind).model
    assert model.value is None
    assert model.predict(frame)["expected_value"].null_count() == len(frame)


@pytest.mark.parametrize("kind", [*KINDS, *OF_VALUE])
@pytest.mark.parametrize("value", [0.0, 12.5, -3.0])
def test_value_without_variation(kind: str, value: float) -> None:
    frame = snapshot_frame(cutoffs(4), users=200).with_columns(value=pl.lit(value))
    found = _fit(frame, kind)
    expected = found.model.predict(frame)["expected_value"]
    assert expected.to_numpy() == pytest.approx(max(value, 0.0))
    assert bool(found.notes) == (value <= 0)


@pytest.mark.parametrize("kind", [*KINDS, *OF_VALUE])
def test_refunds_count_in_the_sum_but_not_in_the_shape(frame: pl.DataFrame, kind: str) -> None:
    refunds = pl.when(pl.col("churn") == 1).then(-5.0).otherwise(pl.col("value"))
    mixed = frame.with_columns(value=refunds)
    model = _fit(mixed, kind).model
    later = SPLIT.calibrate.rows(mixed, 0)
    expected = model.predict(later)["expected_value"]
    assert expected.min() > 0
    assert expected.sum() == pytest.approx(later["value"].sum(), rel=0.1)


@pytest.mark.parametrize(("only", "found"), [(0, "none churns"), (1, "all churn")])
def test_one_class_only_is_refused(frame: pl.DataFrame, only: int, found: str) -> None:
    one = frame.with_columns(churn=pl.lit(only, dtype=pl.Int8))
    with pytest.raises(LabelError, match=f"one class only to fit on: of 500 .*{found}; "):
        _fit(one, "logistic")


def test_one_class_to_calibrate_on_is_told(frame: pl.DataFrame) -> None:
    at = SPLIT.calibrate.cutoffs[0].at
    one = frame.with_columns(
        churn=pl.when(pl.col("cutoff") == at).then(0).otherwise(pl.col("churn")).cast(pl.Int8)
    )
    found = _fit(one, "logistic")
    assert found.model.calibrator.kind == "none"
    assert "one class only to calibrate on (2024-05-02)" in found.notes[0]


def test_nobody_labelled_is_refused(frame: pl.DataFrame) -> None:
    nobody = frame.with_columns(churn=pl.lit(None, dtype=pl.Int8))
    with pytest.raises(LabelError, match="no labelled user to fit on"):
        _fit(nobody, "logistic")


@pytest.mark.parametrize("kind", OF_VALUE)
def test_a_model_of_value_needs_amounts(kind: str) -> None:
    bare = snapshot_frame(cutoffs(4), users=100, amounts=False)
    with pytest.raises(UsageError, match=f"model '{kind}': is one of value, and the log has no"):
        _fit(bare, kind)


def test_an_unknown_kind_lists_the_known() -> None:
    with pytest.raises(UsageError, match="'oracle' is not known; choose one of auto, buying"):
        spec_of("oracle", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_awkward_features_do_no_harm(frame: pl.DataFrame, kind: str) -> None:
    """All missing, constant, infinite and huge values."""
    awkward = frame.with_columns(
        recency_days=pl.lit(None, dtype=pl.Float64),
        events_30d=pl.lit(3, dtype=pl.Int64),
        amount_90d=pl.when(pl.col("churn") == 1).then(float("inf")).otherwise(pl.col("amount_90d")),
        tenure_days=pl.lit(1e300) * pl.col("tenure_days"),
    )
    predicted = _fit(awkward, kind).model.predict(awkward)
    assert predicted["churn_probability"].is_between(0, 1, closed="none").all()
    assert predicted["expected_value"].is_finite().all()


def test_relative_value_has_mean_one(frame: pl.DataFrame) -> None:
    rows = labelled(frame, FEATURES, "fit", 0)
    relative = relative_value(rows)
    assert relative is not None
    assert relative.mean() == pytest.approx(1)
