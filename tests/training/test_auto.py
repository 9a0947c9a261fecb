"""What "auto" tries, chooses and fits again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from training import auto
from training.auto import AutoSpec, fit
from training.blend import Blend
from training.fitting import data_of
from training.mixes import Mix, Tried, pick, tried
from training.recipe import run_recipe
from training.split import Split, plan_split

DAYS = cutoffs(2)[0].at - cutoffs(2)[1].at
SPLIT: Split = plan_split(cutoffs(4), DAYS)
TASK = a_task("auto")


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return snapshot_frame(cutoffs(4), users=500)


@pytest.fixture(scope="module")
def found(frame: pl.DataFrame) -> auto.AutoFit:
    return fit(frame, SPLIT.fit, SPLIT.calibrate, AutoSpec(), TASK)


USERS = np.array(list("abcdefgh"))
NOISE = np.array([0.5, -0.5, 0.4, -0.4, 0.3, -0.3, 0.2, -0.2])


def _mixed(name: str, kinds: str, loss: float, noise: float = 1.0) -> Tried:
    each = tuple(kinds)
    return Tried(Mix(name, each, (1.0,) * len(each)), loss + noise * NOISE)


def test_the_simplest_of_those_alone_wins_a_tie() -> None:
    first, second = _mixed("first", "a", 1.0), _mixed("second", "b", 0.99, -1.0)
    assert pick([first, second], USERS) is first
    assert pick([second, first], USERS) is second
    assert pick([first, _mixed("better", "c", 0.9)], USERS).mix.name == "better"


def test_an_average_wins_a_tie_and_of_two_the_better() -> None:
    alone = _mixed("alone", "a", 1.0)
    pairs = [_mixed("a + b", "ab", 1.02, -1.0), _mixed("a + c", "ac", 1.01, -1.0)]
    whole, stack = _mixed("average", "abc", 1.03, -1.0), _mixed("stack", "abc", 0.99, 0.5)
    assert pick([alone, *pairs, whole, stack], USERS) is whole
    assert pick([alone, *pairs, stack], USERS) is pairs[1]
    assert pick([alone, stack], USERS) is alone


def test_what_is_clearly_worse_is_not_taken() -> None:
    alone, whole = _mixed("alone", "a", 1.0), _mixed("average", "abc", 1.05)
    assert pick([alone, whole], USERS) is alone
    stack = _mixed("stack", "abc", 0.9)
    assert pick([alone, whole, stack], USERS) is stack


def test_rows_of_one_user_count_as_one() -> None:
    """The same loss over eight users is clear, of one user with eight rows it is nothing."""
    alone, whole = _mixed("alone", "a", 1.0), _mixed("average", "abc", 1.05)
    assert pick([alone, whole], np.array(list("aaaaaaaa"))) is whole


def test_it_tries_each_alone_then_together(frame: pl.DataFrame, found: auto.AutoFit) -> None:
    names = [one.mix.name for one in found.candidates]
    assert names == ["logistic", "xgboost", "average", "stack"]
    data = data_of(frame, SPLIT.fit, SPLIT.calibrate, TASK)
    alone = found.candidates[:2]
    margins = {one.mix.name: one.model.churn.margin(data.later.x) for one in alone}
    again = tried("churn", margins, data.later)
    assert [one.losses.mean() for one in again] == [one.churn_loss for one in found.candidates]
    assert found.settled.churn == pick(again, data.later.users).mix


def test_churn_and_value_are_chosen_each_for_itself(
    frame: pl.DataFrame, found: auto.AutoFit
) -> None:
    data = data_of(frame, SPLIT.fit, SPLIT.calibrate, TASK)
    alone = found.candidates[:2]
    for target in ("churn", "value"):
        margins = {c.mix.name: getattr(c.model, target).margin(data.later.x) for c in alone}
        wanted = pick(tried(target, margins, data.later), data.later.users).mix
        assert getattr(found.settled, target) == wanted


def test_the_average_is_calibrated_anew(frame: pl.DataFrame, found: auto.AutoFit) -> None:
    model = found.candidates[2].model
    assert isinstance(model.churn, Blend)
    assert isinstance(model.value, Blend)
    later = SPLIT.calibrate.rows(frame, 0)
    predicted = model.predict(later)
    assert predicted["churn_probability"].mean() == pytest.approx(later["churn"].mean(), abs=0.01)
    assert predicted["expected_value"].sum() == pytest.approx(later["value"].sum(), rel=0.05)


def test_what_was_chosen_is_fitted_again_without_a_search(
    frame: pl.DataFrame, found: auto.AutoFit
) -> None:
    again = fit(frame, SPLIT.fit, SPLIT.calibrate, found.settled, TASK)
    assert again.candidates == ()
    probe = frame.tail(200)
    assert_frame_equal(again.model.predict(probe), found.model.predict(probe), check_exact=True)
    mixed = replace(
        found.settled,
        churn=Mix("average", ("logistic", "xgboost"), (0.5, 0.5)),
        value=Mix("logistic", ("logistic",)),
    )
    model = fit(frame, SPLIT.fit, SPLIT.calibrate, mixed, TASK).model
    logistic, xgboost = (one.model for one in found.candidates[:2])
    x = probe.select(FEATURES).to_numpy().astype(np.float32)
    mean = (logistic.churn.margin(x) + xgboost.churn.margin(x)) / 2
    assert model.churn.margin(x) == pytest.approx(mean)
    assert model.expected_value(x) == pytest.approx(logistic.expected_value(x))


def test_the_test_slice_chooses_nothing(frame: pl.DataFrame, found: auto.AutoFit) -> None:
    at = [c.at for c in SPLIT.test.cutoffs]
    wrong = pl.col("cutoff").is_in(at)
    changed = frame.with_columns(
        pl.when(wrong).then(1 - pl.col("churn")).otherwise("churn").alias("churn"),
        pl.when(wrong).then(pl.col("value") * 9 + 1).otherwise("value").alias("value"),
    )
    again = fit(changed, SPLIT.fit, SPLIT.calibrate, AutoSpec(), TASK)
    assert again.settled == found.settled
    probe = frame.tail(200)
    assert_frame_equal(again.model.predict(probe), found.model.predict(probe), check_exact=True)


def test_no_kind_is_begun_after_the_time(
    frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 90))  # a minute and a half a look
    monkeypatch.setattr(auto.time, "monotonic", lambda: float(next(clock)))
    found = fit(frame, SPLIT.fit, SPLIT.calibrate, AutoSpec(minutes=2), TASK)
    assert found.settled.kinds == ("logistic",)
    assert found.notes[1:] == tuple(
        f"auto: {kind} was not tried: training.minutes are over; give it more"
        for kind in ("xgboost", "sequence")
    )


def test_a_log_without_amounts(found: auto.AutoFit) -> None:
    plain = snapshot_frame(cutoffs(4), users=500, amounts=False)
    model = fit(plain, SPLIT.fit, SPLIT.calibrate, AutoSpec(), TASK).model
    assert model.value is None
    assert model.predict(plain.tail(10))["expected_value"].null_count() == 10


def test_the_recipe_measures_each_on_the_test_slice(frame: pl.DataFrame) -> None:
    trained = run_recipe(frame, SPLIT, AutoSpec(), TASK, draws=0)
    table = trained.table
    assert [row["model"] for row in table] == ["logistic", "xgboost", "average", "stack"]
    chosen = [row for row in table if "churn" in row["chosen_for"]]
    assert len(chosen) == 1
    assert chosen[0]["model"] == trained.settled.churn.name
    # What is measured was fitted anew on the calibration's rows too.
    assert chosen[0]["churn_roc_auc"] == pytest.approx(
        trained.evaluation.metrics["churn_roc_auc"], abs=0.02
    )
    assert trained.model.kind == "auto"
