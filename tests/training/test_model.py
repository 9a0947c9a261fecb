"""The bundle: saved without pickles, checked at the door, additive explanations."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from features.plan import VERSION
from runtime.errors import ModelError
from runtime.files import write_json
from training import bundle
from training.fitting import fit
from training.kinds import spec_of
from training.model import FORMAT, PREDICTED, Model
from training.split import plan_split

FRAME = snapshot_frame(cutoffs(3), users=300)
SPLIT = plan_split(cutoffs(3), cutoffs(2)[0].at - cutoffs(2)[1].at)


@pytest.fixture(scope="module", params=["xgboost", "logistic", "two-part", "ziln", "quantile"])
def model(request: pytest.FixtureRequest) -> Model:
    kind = request.param
    return fit(FRAME, SPLIT.fit, SPLIT.calibrate, spec_of(kind, 0), a_task(kind)).model


def test_saving_and_loading_changes_nothing_and_never_unpickles(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read or written")

    for name in ("load", "loads", "Unpickler", "dump", "dumps", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    again = Model.load(model.save(tmp_path / "m"))
    assert_frame_equal(again.predict(FRAME), model.predict(FRAME), check_exact=True)
    assert np.array_equal(again.contributions(FRAME), model.contributions(FRAME))
    for name in ("kind", "spec", "features", "as_of", "medians", "value_scale", "calibrator"):
        assert getattr(again, name) == getattr(model, name)
    assert {p.suffix for p in (tmp_path / "m").iterdir()} <= {".json", ".ubj", ".npz"}


def test_each_number_lies_within_its_interval(model: Model) -> None:
    found = model.predict(FRAME)
    assert tuple(found.columns) == PREDICTED
    assert found.null_count().sum_horizontal().item() == 0
    for low, middle, high in (
        ("churn_low", "churn_probability", "churn_high"),
        ("value_low", "median_value", "value_high"),
    ):
        rising = (pl.col(low) <= pl.col(middle)) & (pl.col(middle) <= pl.col(high))
        assert found.select(rising.all()).item()
    assert found.select((pl.col("churn_low") < pl.col("churn_high")).all()).item()
    assert (found["value_high"] > found["value_low"]).any()


def test_intervals_cover_those_who_come_later(model: Model) -> None:
    test = SPLIT.test.rows(FRAME, 0)
    found = model.predict(test)
    inside = test["value"].is_between(found["value_low"], found["value_high"])
    assert 0.85 <= inside.mean() <= 0.97  # type: ignore[operator]


def test_without_ranges_they_are_null(model: Model) -> None:
    bare = replace(model, worth=None, own_levels=None, churn_interval=None)
    found = bare.predict(FRAME)
    assert tuple(found.columns) == PREDICTED
    known = ["churn_probability", "expected_value"]
    assert_frame_equal(found.select(known), model.predict(FRAME).select(known), check_exact=True)
    assert found.drop(known).null_count().row(0) == (len(FRAME),) * 5


def test_contributions_sum_to_the_log_odds(model: Model) -> None:
    x_margin = model.churn.margin(FRAME.select(FEATURES).cast(pl.Float32).to_numpy())
    pushed = model.contributions(FRAME)
    assert pushed.shape == (len(FRAME), len(FEATURES))
    rest = x_margin - pushed.sum(1)
    assert np.ptp(rest) < 1e-3  # what is left is the same for everyone


def test_a_row_is_scored_alone_as_among_others(model: Model) -> None:
    some = FRAME.sample(50, seed=1)
    alone = pl.concat([model.predict(some[i : i + 1]) for i in range(len(some))])
    assert_frame_equal(alone, model.predict(some), abs_tol=1e-9)
    assert model.predict(FRAME.head(0)).shape == (0, 7)
    assert model.contributions(FRAME.head(0)).shape == (0, len(FEATURES))


def test_columns_may_come_in_any_order_and_with_others(model: Model) -> None:
    turned = FRAME.select(reversed(FRAME.columns)).with_columns(extra=pl.lit("x"))
    assert_frame_equal(model.predict(turned), model.predict(FRAME), check_exact=True)


def test_missing_columns_are_named(model: Model) -> None:
    with pytest.raises(ModelError, match=r"lack 2 columns .*: recency_days, tenure_days; make"):
        model.predict(FRAME.drop("recency_days", "tenure_days"))
    with pytest.raises(ModelError, match="'tenure_days' is String"):
        model.predict(FRAME.cast({"tenure_days": pl.String}))


def test_a_folder_without_a_model_or_of_another_version_is_refused(
    model: Model, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="holds no readable model"):
        Model.load(tmp_path)
    folder = model.save(tmp_path / "m")
    (folder / f"churn{model.churn.SUFFIX}").unlink()
    with pytest.raises(ModelError, match=r"churn.*: is gone after the model was written"):
        Model.load(folder)
    bundle.seal(folder)
    with pytest.raises(ModelError, match="lacks the churn estimator"):
        Model.load(folder)
    write_json(folder / "model.json", {"holdfast": "model", "schema_version": 99})
    with pytest.raises(ModelError, match="'schema_version': 99"):
        Model.load(folder)
    other = {**FORMAT, "features_version": VERSION - 1}  # their features meant something else
    write_json(folder / "model.json", other)
    with pytest.raises(ModelError, match=f"'features_version': {VERSION - 1}.*train again"):
        Model.load(folder)


def test_a_bundle_that_was_tampered_with_is_refused(model: Model, tmp_path: Path) -> None:
    """Every file, each changed by a byte, and one that was slipped in."""
    folder = model.save(tmp_path / "m")
    for path in sorted(folder.iterdir()):
        held = path.read_bytes()
        path.write_bytes(held[:-2] + bytes([held[-2] ^ 1]) + held[-1:])
        with pytest.raises(ModelError, match="train again"):
            Model.load(folder)
        path.write_bytes(held)
    assert Model.load(folder).features == model.features
    (folder / "churn.column.json").write_text("{}")
    with pytest.raises(ModelError, match=r"churn.column.json: was added after"):
        Model.load(folder)
