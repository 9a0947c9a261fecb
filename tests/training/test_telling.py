"""Properties and attributes that alone tell who leaves are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from training_frames import FEATURES, a_spec, cutoffs, snapshot_frame

from features.attributes import Attribute
from features.properties import Category, Number
from training.rows import Rows, labelled
from training.telling import telling_notes

TOLD = replace(
    a_spec(),
    attributes=(Attribute("status", "category", ("closed",)), Attribute("age", "number")),
    numbers=(Number("balance"),),
    categories=(Category("plan", ("gold",)),),
)
LATEST = "category_latest_plan_is_gold"


def rows(users: int = 300, **columns: pl.Expr) -> Rows:
    names = ("user_status_is_closed", "user_age", "number_mean_balance", LATEST)
    frame = snapshot_frame(cutoffs(1), users=users)
    noise = pl.Series(np.random.default_rng(3).random(len(frame)))
    frame = frame.with_columns(**dict.fromkeys(names, noise)).with_columns(**columns)
    return labelled(frame, (*FEATURES, *names), "test", 0)


CHURN = pl.col("churn").cast(pl.Float64)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("user_status_is_closed", CHURN, "the users table's 'status' is 'closed' (1.000)"),
        ("user_age", -CHURN, "the users table's 'age' (1.000)"),
        (LATEST, CHURN, "the latest 'plan' is 'gold' (1.000)"),
        ("number_mean_balance", pl.when(CHURN == 0).then(5.0), "mean of 'balance' (1.000)"),
    ],
)
def test_what_tells_is_named_either_way_round(column: str, values: pl.Expr, words: str) -> None:
    (note,) = telling_notes(rows(**{column: values}), TOLD)
    assert f"AUC of 0.9 or more: {words}; if" in note


def test_behaviour_may_tell_and_chance_does_not() -> None:
    assert telling_notes(rows(), TOLD) == []
    assert telling_notes(rows(recency_days=CHURN), TOLD) == []


def test_few_leavers_say_nothing() -> None:
    few = rows(users=30, user_age=CHURN)
    assert min(few.churn.sum(), (1 - few.churn).sum()) < 20
    assert telling_notes(few, TOLD) == []
