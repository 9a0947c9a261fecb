"""A model's own quantiles: ranked as they are, read where they hold, and used by the recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from training_frames import a_task, cutoffs, snapshot_frame

from training.fitting import fit
from training.kinds import Pair, spec_of
from training.metrics import Floats
from training.own_levels import OwnLevels, fit_own_levels, ranks
from training.quantiles import Quantiles, QuantileSpec
from training.recipe import run_recipe
from training.rows import Matrix
from training.split import plan_split
from training.spread import LEVELS, Spread, interval, of_quantiles
from training.spread_metrics import coverage
from training.stepwise import Step
from training.trees import PartSizes, Size, XGBoostSpec
from training.two_part import TwoPartSpec

AT = cutoffs(4)
SPLIT = plan_split(AT, AT[0].at - AT[1].at)
FRAME = snapshot_frame(AT, users=500)
SIZE = Size(2, 25)
QUICK = Pair(
    XGBoostSpec(churn=SIZE, bags=1),
    QuantileSpec("two_part", SIZE, TwoPartSpec(PartSizes(SIZE, SIZE, "gamma"))),
)


@dataclass(frozen=True)
class Narrow:
    """Says of who is worth 0 or a lognormal about x that it lies nearer to x than it does."""

    share: float

    def spread(self, x: Matrix, levels: tuple[float, ...]) -> Spread:
        from scipy.special import ndtri

        middle = x[:, 0].astype(np.float64)

        def quantile(level: float) -> Floats:
            high = middle * np.exp(self.share * ndtri(max((level - 0.4) / 0.6, 1e-9)))
            return np.asarray(np.where(level > 0.4, high, 0.0))

        return of_quantiles(middle, levels, quantile)


def _drawn(rows: int, seed: int) -> tuple[Matrix, Floats]:
    draw = np.random.default_rng(seed)
    middle = draw.uniform(5, 50, rows)
    value = middle * np.exp(draw.normal(size=rows)) * (draw.random(rows) > 0.4)
    return middle[:, None].astype(np.float32), value


@pytest.mark.parametrize("share", [0.4, 1.0, 2.0])
def test_levels_are_moved_to_where_they_hold(share: float) -> None:
    x, value = _drawn(4_000, 0)
    later_x, later = _drawn(4_000, 1)
    held = fit_own_levels(Narrow(share), x, value / 2, np.arange(4_000).astype(str), 0.5)
    found = held.spread(Narrow(share), later_x, 0.5 * later_x[:, 0], 0.5)
    assert (np.diff(found.quantiles) >= 0).all()
    assert coverage(later / 2, *interval(found), np.ones(4_000)) == pytest.approx(0.9, abs=0.025)
    assert np.mean(later / 2 <= found.median) == pytest.approx(0.5, abs=0.03)
    if share == 1.0:
        assert held.at == pytest.approx(LEVELS, abs=0.03)
    assert OwnLevels.from_dict(held.to_dict()) == held


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-1, 4), min_size=3, max_size=3).map(sorted),
    st.integers(-8, 20).map(lambda k: k / 4),
)
def test_ranks_are_those_of_the_line_through_the_quantiles(known: list[int], value: float) -> None:
    levels = (0.05, 0.5, 0.95)
    spread = Spread(np.zeros(1), levels, np.array([known], dtype=np.float64))
    below, upto = (float(one[0]) for one in ranks(spread, np.array([value])))
    # By its definition, where the quantile function comes to the value.
    fine = np.linspace(0.05, 0.95, 901)
    q = np.interp(fine, levels, known)
    under, over = fine[q < value - 1e-12], fine[q > value + 1e-12]
    assert below == pytest.approx(under.max() if len(under) else 0.0, abs=0.0021)
    assert upto == pytest.approx(over.min() if len(over) else upto, abs=0.0021)
    assert 0 <= below <= upto <= 1
    assert (upto < 1) == (value <= known[-1])


def test_the_recipe_trains_it_and_its_quantiles_are_those_of_the_model() -> None:
    trained = run_recipe(FRAME, SPLIT, QUICK, a_task("quantile"), draws=0)
    model, test = trained.honest, SPLIT.test.rows(FRAME, 0)
    assert isinstance(model.value, Quantiles)
    assert (model.worth is None, model.own_levels is None) == (True, False)
    metrics = trained.evaluation.metrics
    assert 0.85 < metrics["value_coverage_90"] < 0.95
    assert metrics["value_median_nmae"] < metrics["value_nmae"]
    assert metrics["value_crps"] > 0
    predicted = model.predict(test)
    raw = model.value.spread(model.rows(test)).scaled(model.value_scale)
    # The mean is the two-part model's, which adds up; the median moves with the model's own.
    assert predicted["expected_value"].to_numpy() == pytest.approx(raw.mean)
    assert np.corrcoef(predicted["median_value"], raw.median)[0, 1] > 0.97
    order = np.argsort(predicted["expected_value"].to_numpy())
    assert (np.diff(predicted["median_value"].to_numpy()[order]) < 0).any()  # no table of means
    doubled = replace(model, value_scale=2 * model.value_scale).predict(test)
    named = ("expected_value", "median_value", "value_low", "value_high")
    assert_frame_equal(doubled.select(named), predicted.select(named) * 2)


def test_where_many_are_refunded_the_table_of_means_is_read() -> None:
    """No quantile of the model is below 0: its interval would miss all of them."""
    owed = FRAME["user_id"].hash(seed=1) % 5 == 0
    frame = FRAME.with_columns(value=pl.when(owed).then(-20.0).otherwise("value"))
    found = fit(frame, SPLIT.fit, SPLIT.calibrate, QUICK, a_task("quantile"))
    assert (found.model.worth is None, found.model.own_levels is None) == (False, True)
    assert any("more came back than was spent" in note for note in found.notes)
    test = SPLIT.test.rows(frame, 0)
    low, value = found.model.predict(test)["value_low"].to_numpy(), test["value"].to_numpy()
    assert np.mean(value < low) < 0.1
    few = FRAME.with_columns(
        value=pl.when(pl.int_range(pl.len()) == 0).then(-20).otherwise("value")
    )
    assert fit(few, SPLIT.fit, SPLIT.calibrate, QUICK, a_task("quantile")).model.own_levels


def test_its_seed_is_that_of_the_training() -> None:
    spec = spec_of("quantile", 7)
    assert isinstance(spec, Pair)
    assert isinstance(spec.value, QuantileSpec)
    seeds = {spec.churn.seed, spec.value.trees.seed, spec.value.base.trees.seed}
    assert seeds == {7}


def test_on_a_young_log_the_table_of_means_is_read_and_said_to_be() -> None:
    steps = tuple(
        Step(days, f"churn_{days}", f"value_{days}", AT[0].at - AT[1].at) for days in (15, 30)
    )
    short = FRAME.with_columns(
        *(FRAME["churn"].alias(step.churn) for step in steps),
        *(FRAME["value"].alias(step.value) for step in steps),
    )
    task = a_task("quantile")
    found = fit(short, SPLIT.fit, SPLIT.calibrate, QUICK, replace(task, steps=steps))
    assert found.model.own_levels is None
    assert found.model.worth is not None
    assert any("read off the table of means" in note for note in found.notes)
