"""The evaluation: floors, names, and a page that no feature name can break."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from training_frames import FEATURES, a_task, cutoffs, snapshot_frame

from training import plots
from training.compare import shown
from training.evaluate import Evaluation, evaluate
from training.fitting import fit
from training.floors import recency_churn
from training.kinds import spec_of
from training.review import page
from training.rows import labelled
from training.split import plan_split

FRAME = snapshot_frame(cutoffs(3), users=400)
SPLIT = plan_split(cutoffs(3), cutoffs(2)[0].at - cutoffs(2)[1].at)


def _evaluated(frame: pl.DataFrame, draws: int = 30) -> Evaluation:
    fitted = fit(frame, SPLIT.fit, SPLIT.calibrate, spec_of("logistic", 0), a_task())
    test = labelled(SPLIT.test.rows(frame, 0), FEATURES, "test", 0)
    return evaluate(fitted.model, fitted.rows, test, draws, seed=0)


def test_the_recency_floor_ranks_as_recency_does() -> None:
    test = SPLIT.test.rows(FRAME, 0)
    oracle = roc_auc_score(test["churn"], test["recency_days"])
    found = _evaluated(FRAME).metrics
    assert found["recency_churn_roc_auc"] == pytest.approx(oracle, abs=1e-6)
    gap = found["churn_roc_auc"] - found["recency_churn_roc_auc"]
    assert found["churn_roc_auc_over_recency"] == pytest.approx(gap)


def test_where_all_were_fitted_on_one_class_the_recency_floor_is_the_base_rate() -> None:
    """As with a horizon learned by steps: the model's own rows have two classes, those of the
    horizon one."""
    frame = FRAME.with_columns(churn=pl.lit(0, pl.Int8))
    fit_rows, test = (
        labelled(of.rows(frame, 0), FEATURES, "test", 0) for of in (SPLIT.fit, SPLIT.test)
    )
    found = recency_churn(fit_rows, test)
    assert found is not None
    assert found.tolist() == [0.0] * len(test)


def test_the_base_rate_floor_is_the_fits_rate() -> None:
    rate = float(SPLIT.fit.rows(FRAME, 0)["churn"].mean())  # type: ignore[arg-type]
    churn = SPLIT.test.rows(FRAME, 0)["churn"].to_numpy()
    found = _evaluated(FRAME).metrics
    assert found["base_rate_churn_brier"] == pytest.approx(((churn - rate) ** 2).mean())


def test_the_distribution_of_value_is_measured() -> None:
    fitted = fit(FRAME, SPLIT.fit, SPLIT.calibrate, spec_of("logistic", 0), a_task())
    test = SPLIT.test.rows(FRAME, 0)
    told, value = fitted.model.predict(test), test["value"]
    found = _evaluated(FRAME).metrics
    off = (told["median_value"] - value).abs().mean() / value.mean()  # type: ignore[operator]
    assert found["value_median_nmae"] == pytest.approx(off)
    assert found["value_median_nmae"] < found["value_nmae"]
    inside = value.is_between(told["value_low"], told["value_high"]).mean()
    assert found["value_coverage_90"] == pytest.approx(inside)
    assert 0 < found["value_crps"] < found["value_mae"]
    assert found["value_coverage_90_low"] <= found["value_coverage_90"]
    words = {row.name: row.value for row in shown(found)}
    assert words["value_coverage_90"].endswith("%")


def test_without_amounts_or_draws_only_what_is_defined_is_reported() -> None:
    found = _evaluated(FRAME.with_columns(value=pl.lit(None, dtype=pl.Float64)), draws=0).metrics
    assert not [name for name in found if "value" in name or name.endswith(("_low", "_high"))]
    assert np.isfinite(list(found.values())).all()


def test_one_class_to_test_on_leaves_no_ranking_metric() -> None:
    at = SPLIT.test.cutoffs[0].at
    one = FRAME.with_columns(
        churn=pl.when(pl.col("cutoff") == at).then(0).otherwise(pl.col("churn")).cast(pl.Int8)
    )
    found = _evaluated(one).metrics
    assert "churn_roc_auc" not in found
    assert found["churn_base_rate"] == 0
    assert "churn_brier" in found


@pytest.mark.parametrize("levels", [1, 2, 1000])
def test_figures_are_drawn_whatever_the_ties(levels: int) -> None:
    random = np.random.default_rng(0)
    predicted = random.integers(1, levels + 1, 200) / (levels + 1)
    churn = (random.random(200) < predicted).astype(float)
    for figure in (
        plots.reliability(churn, predicted),
        plots.gains(churn, predicted, None),
        plots.value_tenths(churn, predicted),
        plots.importance(random.normal(size=(200, 2)), {"a": "words", "b": ""}),
    ):
        assert "NaN" not in figure.to_json()


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.06), (0.3, 0.999), (0.0, 1.0), (0.5, 0.5)])
def test_the_calibration_reaches_as_far_as_the_predictions_and_no_farther(
    low: float, high: float
) -> None:
    random = np.random.default_rng(0)
    predicted = random.uniform(low, high, 5_000)
    churn = (random.random(5_000) < predicted).astype(float)
    figure = plots.reliability(churn, predicted)
    begin, end = figure.layout.xaxis.range
    assert (begin, end) == tuple(figure.layout.yaxis.range)
    assert 0 <= begin <= predicted.min()
    assert predicted.max() <= end <= 1
    assert end - begin < (high - low) + 0.15
    bars = figure.data[2]
    assert sum(bars.y) == len(predicted)


def test_wilsons_interval_is_the_published_one() -> None:
    low, high = plots.rate_interval(np.array([0.1]), np.array([10.0]))
    assert (low[0], high[0]) == pytest.approx((0.0179, 0.4042), abs=1e-4)


def test_no_name_can_break_the_page() -> None:
    bad = "</script><b>&"
    figure = plots.importance(np.ones((3, 1)), {"a": bad})
    rows = shown({"churn_roc_auc": 0.7})
    text = page(bad, bad, rows, {bad: (bad, figure)}, [bad], {bad: bad})
    assert bad not in text
    assert text.count("</script>") == 2
