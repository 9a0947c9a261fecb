"""What a training says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from runtime.errors import LabelError
from training.auto import AutoSpec
from training.kinds import spec_of
from training.recipe import run_recipe
from training.record import review
from training.split import Split, plan_split

YEAR = timedelta(days=365)
SPLIT = plan_split(cutoffs(4), cutoffs(2)[0].at - cutoffs(2)[1].at)


@pytest.mark.parametrize("told", [True, False])
def test_a_feature_that_tells_the_outcome_is_spoken_of(told: bool) -> None:
    frame = snapshot_frame(cutoffs(4), users=300)
    if told:
        frame = frame.with_columns(pl.col("churn").cast(pl.Float64).alias(FEATURES[0]))
    task = a_task("logistic")
    trained = run_recipe(frame, SPLIT, spec_of("logistic", 0), task, draws=0)
    spoken = [note for note in trained.notes if "better than behaviour can tell" in note]
    assert bool(spoken) is told


@pytest.mark.parametrize("slices", [plan_split(cutoffs(1), YEAR), SPLIT])
def test_nobody_to_test_on_is_said_before_the_first_fit(
    slices: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a very young log: all was fitted first, with NumPy's warnings on the way."""
    frame = snapshot_frame(slices.cutoffs, users=40)
    tested = slices.test.rows(frame, 0).select("cutoff", "user_id")
    rest = frame.join(tested, on=["cutoff", "user_id"], how="anti")
    monkeypatch.setattr("training.recipe.fit", None)  # fits nothing
    with pytest.raises(LabelError, match=r"measure on \(found 0 rows\); train as of later, ingest"):
        run_recipe(rest, slices, spec_of("logistic", 0), a_task("logistic"), draws=0)


@pytest.mark.parametrize("classes", [1, 2])
def test_the_page_shows_what_can_be_measured(classes: int) -> None:
    """Without amounts a test slice of one class has no metric that the tried could be drawn by."""
    frame = snapshot_frame(cutoffs(4), users=120, amounts=False)
    if classes == 1:
        newest = pl.col("cutoff") == pl.col("cutoff").max()
        frame = frame.with_columns(churn=pl.when(newest).then(1).otherwise("churn").cast(pl.Int8))
    task = replace(a_task("auto"), features=("recency_days", "events_30d"))
    trained = run_recipe(frame, SPLIT, AutoSpec(kinds=("logistic",)), task, draws=5)
    text = review(trained, task, SPLIT, frame)
    assert ("<h2>What was tried</h2>" in text) is (classes == 2)
    assert ("no ranking metric of churn" in text) is (classes == 1)
