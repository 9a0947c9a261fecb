"""What is measured and what is kept have learned from every label known by then, and from no other;
the level is the one that was calibrated."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from training.auto import AutoSpec
from training.fitting import Fit, fit
from training.kinds import spec_of
from training.linear import Linear
from training.model import Model
from training.recipe import later_spec, run_recipe
from training.refit import refitted
from training.rows import Matrix
from training.split import Slice, plan_split
from training.trees import Size

EVERY = cutoffs(7, every_days=30)
SPLIT = plan_split(EVERY, timedelta(days=60))
FRAME = snapshot_frame(EVERY, users=400)
KINDS = ("logistic", "xgboost")

pytestmark = pytest.mark.usefixtures("quick_models")


def fitted(on: Slice, kind: str, frame: pl.DataFrame = FRAME) -> Fit:
    return fit(frame, on, SPLIT.served_calibrate, spec_of(kind, 0), a_task(kind))


def matrices(old: Fit, new: Fit) -> tuple[Matrix, Matrix]:
    then, now = (one.model.rows(SPLIT.test.rows(one.frame, 0)) for one in (old, new))
    return then, now


@pytest.mark.parametrize("kind", KINDS)
def test_level_and_spread_of_churn_and_the_sum_of_value_stay(kind: str) -> None:
    tried, served = fitted(SPLIT.fit, kind), fitted(SPLIT.served_fit, kind)
    calibrator = tried.model.calibrator.moved(0.7, 1.1, 0.0)
    before = replace(tried.model, calibrator=calibrator)
    after = refitted(before, served.model, matrices(tried, served))
    rows = SPLIT.test.rows(FRAME, 0)
    was, now = before.predict(rows), after.predict(rows)
    assert now["churn_probability"].mean() == pytest.approx(was["churn_probability"].mean())
    assert now["expected_value"].sum() == pytest.approx(was["expected_value"].sum())
    assert not np.allclose(now["churn_probability"], was["churn_probability"])
    odds, as_odds = (
        np.log(p / (1 - p)) for p in (was["churn_probability"], now["churn_probability"])
    )
    assert as_odds.std() == pytest.approx(odds.std(), rel=0.1)
    wide, as_wide = (p["churn_high"] - p["churn_low"] for p in (was, now))
    assert as_wide.mean() == pytest.approx(wide.mean(), rel=0.1)


def test_spread_by_users_that_are_unseen_and_level_by_those_that_it_was_learned_from() -> None:
    tried, served = fitted(SPLIT.fit, "logistic"), fitted(SPLIT.served_fit, "logistic")
    then, now = matrices(tried, served)
    half = len(then) // 2
    unseen, seen = (then[:half], now[:half]), (then[half:], now[half:])
    by_both = refitted(tried.model, served.model, unseen, seen)
    by_one = refitted(tried.model, served.model, unseen)
    for after, (old, new) in ((by_both, seen), (by_one, unseen)):
        mean = after.churn_probability(new).mean()
        assert mean == pytest.approx(tried.model.churn_probability(old).mean())
        paid, as_paid = tried.model.expected_value(old), after.expected_value(new)
        assert paid is not None
        assert as_paid is not None
        assert as_paid.sum() == pytest.approx(paid.sum())
    slopes = [np.diff(m.calibrator.log_odds(np.array([0.0, 1.0]))) for m in (by_both, by_one)]
    assert slopes[0] == pytest.approx(slopes[1]), "the spread is that of the unseen"


@pytest.mark.parametrize("knots", [(), ((-1.0, 0.2), (0.5, 0.4), (2.0, 0.9))])
def test_log_odds_on_another_scale_are_calibrated_as_before(
    knots: tuple[tuple[float, float], ...],
) -> None:
    served = fitted(SPLIT.served_fit, "logistic").model
    served = replace(served, calibrator=replace(served.calibrator, knots=knots, smooth=0.5))
    assert isinstance(served.churn, Linear)
    coef = tuple(3 * c for c in served.churn.coef)
    churn = replace(served.churn, coef=coef, intercept=3 * served.churn.intercept + 1)
    x = served.rows(FRAME)
    found = refitted(served, replace(served, churn=churn), (x, x)).predict(FRAME)
    for name, told in served.predict(FRAME).to_dict().items():
        assert found[name].to_numpy() == pytest.approx(told.to_numpy()), name


@pytest.mark.parametrize("certain", [-1.0, 1.0])
def test_a_level_far_off_is_come_to_all_the_same(certain: float) -> None:
    """Log-odds of a few users may be anywhere, and so may the mean that they had."""
    served = fitted(SPLIT.served_fit, "logistic").model
    x = served.rows(FRAME)[:1]
    far = served.calibrator.moved(certain * 14, 1.0, 0.0)
    found = refitted(replace(served, calibrator=far), served, (x, x))
    assert found.churn_probability(x) == pytest.approx(
        replace(served, calibrator=far).churn_probability(x), rel=1e-3
    )
    assert isinstance(served.churn, Linear)
    wild = replace(served, churn=replace(served.churn, intercept=-certain * 100))
    told = refitted(replace(served, calibrator=far), wild, (x, x)).churn_probability(x)
    assert np.isfinite(told).all()


def ranks(model: Model, rows: pl.DataFrame) -> float:
    truth = rows["churn"].cast(pl.Float64).to_numpy()
    return float(roc_auc_score(truth, model.predict(rows)["churn_probability"].to_numpy()))


def told_at(cutoff: pl.Expr) -> pl.DataFrame:
    """At some cutoffs churn follows the second feature, and at no other."""
    told = (pl.col(FEATURES[1]) > pl.col(FEATURES[1]).median()).cast(FRAME["churn"].dtype)
    return FRAME.with_columns(churn=pl.when(cutoff).then(told).otherwise("churn"))


def test_what_only_the_newest_labels_tell_is_learned() -> None:
    newest = pl.col("cutoff") == EVERY[0].at
    frame = told_at(newest)
    trained = run_recipe(frame, SPLIT, spec_of("xgboost", 0), a_task("xgboost"), draws=0)
    rows = frame.filter(newest)
    assert ranks(trained.model, rows) > ranks(trained.honest, rows) + 0.05


def test_what_is_measured_knows_every_label_before_the_test_and_none_of_it() -> None:
    """Of a cutoff in between, which neither the first fit nor the calibration reads."""
    between = EVERY[3]
    assert between not in SPLIT.fit.cutoffs + SPLIT.calibrate.cutoffs
    frame = told_at(pl.col("cutoff") == between.at)
    task, spec = a_task("xgboost"), spec_of("xgboost", 0)
    plain, found = (run_recipe(one, SPLIT, spec, task, draws=0).honest for one in (FRAME, frame))
    rows = frame.filter(pl.col("cutoff") == between.at)
    assert ranks(found, rows) > ranks(plain, rows) + 0.05
    known = pl.col("cutoff") <= SPLIT.served_fit.cutoffs[0].at
    other = frame.with_columns(
        churn=pl.when(known).then("churn").otherwise(1 - pl.col("churn")),
        value=pl.when(known).then("value").otherwise(pl.col("value") * 7 + 1),
    )
    blind = run_recipe(other, SPLIT, spec, task, draws=0).honest
    assert blind.predict(FRAME).equals(found.predict(FRAME))


def test_newest_labels_of_one_class_leave_what_was_learned_before() -> None:
    """Cancellations are no longer tracked, say: what the older labels told still serves."""
    split = plan_split(EVERY, timedelta(days=60), 3)
    newest = pl.col("cutoff").is_in([c.at for c in split.last_fit.cutoffs])
    assert any(c not in split.last_fit.cutoffs for c in split.served_fit.cutoffs)
    none = pl.when(newest).then(0).otherwise("churn").cast(pl.Int8)
    trained = run_recipe(
        FRAME.with_columns(churn=none), split, spec_of("logistic", 0), a_task("logistic"), draws=0
    )
    assert any("has not learned from the newest labels: one class" in n for n in trained.notes)
    assert trained.model.churn == trained.honest.churn


def test_sizes_are_searched_again_where_there_are_many_more_rows() -> None:
    spec = spec_of("xgboost", 0)
    settled = replace(spec, churn=Size(2, 7), value=Size(2, 7))
    assert len(SPLIT.last_fit.cutoffs) > 2 * len(SPLIT.fit.cutoffs)
    assert later_spec(spec, settled, SPLIT) == spec
    given = replace(spec, churn=Size(3, 9), value=Size(3, 9))  # as by tuning: nothing to search
    assert later_spec(given, given, SPLIT) == given
    long = plan_split(cutoffs(12, every_days=30), timedelta(days=30))
    assert later_spec(spec, settled, long) == settled
    chosen = AutoSpec(kinds=("logistic", "xgboost"), specs={"xgboost": settled})
    anew, kept = (later_spec(AutoSpec(), chosen, split) for split in (SPLIT, long))
    assert isinstance(anew, AutoSpec)
    assert anew == replace(chosen, specs={"xgboost": spec})
    assert kept == chosen
