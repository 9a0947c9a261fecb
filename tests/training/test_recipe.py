"""What a training says of itself."""

from __future__ import annotations

import polars as pl
import pytest
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from training.kinds import spec_of
from training.recipe import run_recipe
from training.split import plan_split

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
