"""Forests become XGBoost models that predict the same, for missing values too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from training_frames import FEATURES, cutoffs, snapshot_frame

from runtime.device import Device
from training import forest
from training.fitting import relative_value
from training.forest import Forest, ForestSpec, Shape, imputed
from training.forest_trees import TINY as TINY32
from training.forest_trees import below, booster_of
from training.linear import fit_scaler
from training.metrics import Floats, ranked, roc_auc
from training.rows import LARGEST, Matrix, Rows, labelled

CPU = Device("cpu", "a test")
ROWS = labelled(snapshot_frame(cutoffs(2), users=300), FEATURES, "fit", 0)
SMALL = ForestSpec(churn=Shape(5, 0.5), value=Shape(10, 0.5), trees=20)
FAR = float(np.float32(3e38))
TINY = float(TINY32)
SEEDS = st.integers(0, 2**31 - 1)


def odd_matrix(seed: int, n: int = 120, features: int = 4) -> Matrix:
    """Numbers of every size, ties, and missing values that often come together."""
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(-3, 6, features)
    x = random.normal(size=(n, features)) * scale
    x[:, 0] = random.integers(0, 3, n)
    x[random.random(n) < 0.3, 1:3] = np.nan
    x[random.random(n) < 0.2, 3] = np.nan
    x[random.integers(0, n, 2), 1] = random.choice([LARGEST, -LARGEST, 0.0])
    return x.astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.booleans(), st.integers(1, 5), st.sampled_from([1, 4, None]))
def test_the_converted_forest_predicts_what_scikit_learn_does(
    seed: int, classes: bool, leaf: int, depth: int | None
) -> None:
    x, random = odd_matrix(seed), np.random.default_rng(seed)
    churn = (random.random(len(x)) < 0.3 + 0.4 * np.isnan(x[:, 1])).astype(int)
    churn[:2] = 0, 1
    scaler = fit_scaler(x)
    kind = RandomForestClassifier if classes else RandomForestRegressor
    grown = kind(15, min_samples_leaf=leaf, max_depth=depth, random_state=seed % 1000)
    grown.fit(imputed(scaler, x), churn if classes else churn * random.gamma(2, 1, len(x)))
    new = odd_matrix(seed + 1)
    z = imputed(scaler, new)
    theirs = grown.predict_proba(z)[:, 1] if classes else grown.predict(z)
    booster = booster_of([one.tree_ for one in grown], scaler, x.shape[1])
    assert Forest(booster)._mean(new) == pytest.approx(theirs, abs=1e-6, rel=1e-6)


@given(
    st.one_of(st.floats(-FAR, FAR), st.sampled_from([0.0, TINY, -TINY, TINY / 3, -TINY / 3])),
    st.floats(-FAR, FAR, width=32, allow_subnormal=False),
)
def test_below_is_at_most_for_numbers_of_32_bits(threshold: float, x: float) -> None:
    condition = below(np.array([threshold]))[0]
    assert condition == np.float32(condition)
    assert condition == 0 or abs(condition) >= TINY
    assert (x < condition) == (x <= threshold)


@pytest.mark.parametrize("target", ["churn", "value"])
def test_contributions_sum_to_the_margin(target: str) -> None:
    model = _fit(target, SMALL)
    margin, parts = model.margin(ROWS.x), model.contributions(ROWS.x)
    assert parts.shape == ROWS.x.shape
    inside = margin > np.log(2 * forest.LEAST_VALUE)
    rest = (margin - parts.sum(1))[inside]
    assert rest == pytest.approx(rest[0], abs=1e-3)


def test_a_large_forest_is_explained_along_its_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _fit("churn", SMALL)
    exact = model.contributions(ROWS.x)
    monkeypatch.setattr(forest, "EXACT_STEPS", 0)
    quick = model.contributions(ROWS.x)
    assert not np.allclose(quick, exact)
    rest = model.margin(ROWS.x) - quick.sum(1)
    assert rest == pytest.approx(rest[0], abs=1e-3)
    assert np.corrcoef(quick.ravel(), exact.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("target", ["churn", "value"])
def test_saving_and_loading_changes_nothing(target: str, tmp_path: Path) -> None:
    model = _fit(target, SMALL)
    path = tmp_path / f"churn{Forest.SUFFIX}"
    model.save(path)
    again = Forest.load(path)
    assert np.array_equal(again.margin(ROWS.x), model.margin(ROWS.x))
    assert np.array_equal(again.contributions(ROWS.x), model.contributions(ROWS.x))


def test_the_same_seed_grows_the_same_forest_and_another_one_another() -> None:
    first, second = (_fit("churn", SMALL).margin(ROWS.x) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, _fit("churn", replace(SMALL, seed=1)).margin(ROWS.x))


def test_it_learns_and_the_settled_spec_needs_no_search() -> None:
    spec = ForestSpec(leaves=(5, 40), columns=(0.5,), trees=40, search_trees=10)
    model, settled = forest.fit_churn(spec, ROWS, CPU)
    assert settled.churn in {Shape(5, 0.5), Shape(40, 0.5)}
    later = labelled(snapshot_frame(cutoffs(2), users=300, seed=5), FEATURES, "test", 0)
    assert _auc(later, model.margin(later.x)) > 0.7
    again, _ = forest.fit_churn(replace(settled, leaves=()), ROWS, CPU)
    assert np.array_equal(again.margin(later.x), model.margin(later.x))


def test_no_user_left_out_chooses_by_rows_of_his_own() -> None:
    """A feature that names the user tells all of his other rows, and nothing of new users."""
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(150), 4)
    churn = random.integers(0, 2, 150)[who].astype(np.float64)
    x = np.column_stack([random.permutation(150)[who], random.normal(size=len(who))])
    names = who.astype(np.str_)
    x, day = x.astype(np.float32), np.zeros(len(who))
    rows = Rows(("a", "b"), x, churn, None, who % 5, names, day)
    _, settled = forest.fit_churn(ForestSpec(leaves=(1, 200), trees=10, search_trees=10), rows, CPU)
    assert settled.churn is not None
    assert settled.churn.leaf == 200


def _fit(target: str, spec: ForestSpec) -> Forest:
    if target == "churn":
        return forest.fit_churn(spec, ROWS, CPU)[0]
    relative = relative_value(ROWS)
    assert relative is not None
    return forest.fit_value(spec, ROWS, relative, CPU)[0]


def _auc(rows: Rows, margin: Floats) -> float:
    return float(roc_auc(ranked(rows.churn, margin, np.ones(len(rows)))))
