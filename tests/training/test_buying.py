"""The model as a whole: fitted and asked; and CDNOW as published."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import ModelError, SchemaError, UsageError
from training.buying import MEANS, Buying, SpendOf, fit_buying
from training.buying_data import purchases_plan
from training.buying_simulate import simulate

CPU = Device("cpu", "test")
SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "cdnow" / "CDNOW_sample.txt"
OCTOBER = datetime(1997, 10, 1, tzinfo=UTC)
WEEKS = 39


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    known = simulate((0.8, 30.0, 0.8, 2.4), np.linspace(100, 400, 4_000), 0, 1)
    mean = np.random.default_rng(2).gamma(4.0, 10.0, len(known)) + 1
    frame = pl.DataFrame(vars(known)).with_row_index("user_id").with_columns(mean=mean)
    return frame.with_columns(repeat_mean=pl.when(pl.col("frequency") > 0).then(pl.col("mean")))


def test_answers_keep_the_order_of_the_people(people: pl.DataFrame) -> None:
    model = fit_buying([people])
    back = people.reverse()
    for ask in (
        model.alive,
        lambda p: model.silent(p, 90, 10),
        lambda p: model.expected_purchases(p, 90),
        lambda p: model.expected_value(p, 90),
        lambda p: model.value_quantiles(p, 90),
        lambda p: model.purchase_quantiles(p, 90),
    ):
        forth = ask(people)
        assert len(forth) == len(people)
        assert np.isfinite(forth).all()
        np.testing.assert_allclose(ask(back)[::-1], forth, rtol=1e-12)


def test_nobodys_answer_depends_on_who_else_is_asked_about(people: pl.DataFrame) -> None:
    model = fit_buying([people])
    few = people.gather_every(97, 5)
    for ask in (model.silent, model.expected_purchases, model.expected_value):
        np.testing.assert_array_equal(ask(few, 90, 7), ask(people, 90, 7)[5::97])
    for ask in (model.value_quantiles, model.purchase_quantiles):
        # Products of matrices differ with their shapes in the last digit.
        np.testing.assert_allclose(ask(few, 90), ask(people, 90)[5::97], rtol=1e-12)


@pytest.mark.parametrize("spend_of", ["all", "repeats"])
def test_an_infinite_expected_amount_is_the_mean_one_and_is_told(
    people: pl.DataFrame, spend_of: SpendOf
) -> None:
    """Amounts of a tail so heavy that no mean can be told made the sum infinite, null in JSON."""
    draw = np.random.default_rng(3)
    wide = pl.col("mean") * pl.Series(np.exp(3 * draw.normal(size=len(people))))
    few = people.with_columns(mean=wide)[:800]
    few = few.with_columns(repeat_mean=pl.when(pl.col("frequency") > 0).then(pl.col("mean")))
    model = fit_buying([few], spend_of=spend_of)
    assert model.spend is not None
    p, q, _ = model.spend.values
    known = few["frequency"].to_numpy() + (spend_of == "all")
    endless = p * known + q <= 1
    assert 100 < endless.sum() < len(few)
    counts, value = model.expected_purchases(few, 90), model.expected_value(few, 90)
    mean = few[MEANS[spend_of]].fill_null(0).to_numpy()
    amount = (known * mean).sum() / known.sum()
    assert value[endless] == pytest.approx(counts[endless] * amount, rel=1e-9)
    assert np.isfinite(value).all()
    assert any(f" {endless.sum()} of 800 customers is infinite" in note for note in model.notes)
    assert any("sums of expected value are not to be relied on" in note for note in model.notes)


@pytest.mark.parametrize("gap", [0, 14])
def test_the_interval_of_silence_is_that_of_drawn_parameters(
    people: pl.DataFrame, gap: int
) -> None:
    few = people.gather_every(800)
    model = fit_buying([people], spend_of=None)
    low, high = model.silent_interval(people, 90, gap).T
    silent = model.silent(people, 90, gap)
    assert ((low >= 0) & (low < silent) & (silent < high) & (high <= 1)).all()
    covariance = np.array(model.purchases.log_covariance, dtype=np.float64)
    middle = np.log(model.purchases.values)
    drawn = np.random.default_rng(0).multivariate_normal(middle, covariance, 400)
    found = []
    for logs in drawn:
        values = tuple(np.exp(logs).tolist())
        other = replace(model, purchases=replace(model.purchases, values=values))
        found.append(other.silent(few, 90, gap))
    ends = np.quantile(found, (0.05, 0.95), axis=0).T
    width = ends[:, 1] - ends[:, 0]
    np.testing.assert_allclose(ends, np.stack([low, high], 1)[::800], atol=0.25 * width.max())


def test_no_interval_of_silence_where_a_parameter_is_not_told(people: pl.DataFrame) -> None:
    model = fit_buying([people], spend_of=None)
    untold = ((None,) * 4, *model.purchases.log_covariance[1:])
    blind = replace(model, purchases=replace(model.purchases, log_covariance=untold))
    assert np.isnan(blind.silent_interval(people, 90)).all()


def test_buckets_are_fitted_as_one_frame(people: pl.DataFrame) -> None:
    buckets = [people.gather_every(3, k) for k in (2, 0, 1)]
    assert fit_buying(iter(buckets)) == fit_buying([people])


def test_what_is_missing_is_named(people: pl.DataFrame) -> None:
    model = fit_buying([people.drop("mean")], spend_of=None)
    with pytest.raises(ModelError, match="without amounts"):
        model.expected_value(people, 30)
    with pytest.raises(SchemaError, match="no column 'mean'"):
        fit_buying([people.drop("mean")])
    with pytest.raises(UsageError, match="kind 'pareto'"):
        fit_buying([people], kind="pareto")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def log() -> pl.LazyFrame:
    if not SAMPLE.exists():
        pytest.skip("the CDNOW data set is not at ../shared/data/cdnow")
    rows = [line.split() for line in SAMPLE.read_text().splitlines()]
    day = pl.col("day").str.to_datetime("%Y%m%d", time_unit="us", time_zone="UTC")
    frame = pl.DataFrame(
        {
            "user_id": [row[1] for row in rows],
            "day": [row[2] for row in rows],
            "amount": [float(row[4]) for row in rows],
        }
    )
    return frame.select("user_id", "amount", ts=day).lazy()


@pytest.fixture(scope="module")
def cohort(log: pl.LazyFrame) -> pl.DataFrame:
    """With the eight whose first order was free, as published."""
    plan = purchases_plan(log, Cutoff(OCTOBER), unit="week", free=True)
    return collect(plan, CPU)


@pytest.fixture(scope="module")
def published(cohort: pl.DataFrame) -> Buying:
    return fit_buying([cohort], unit="week", spend_of="repeats")


def test_cdnow_has_the_published_parameters(cohort: pl.DataFrame, published: Buying) -> None:
    """Fader, Hardie & Lee 2005, table 1; Fader & Hardie 2013, section 5."""
    assert len(cohort) == 2_357
    assert published.purchases.values == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=5e-4)
    assert published.purchases.log_likelihood == pytest.approx(-9582.43, abs=0.01)
    assert published.spend is not None
    assert published.spend.customers == 946
    assert published.spend.values == pytest.approx((6.25, 3.74, 15.44), abs=8e-3)
    assert published.notes == ()
    modified = fit_buying([cohort], kind="mbg/nbd", unit="week", spend_of=None).purchases
    # lifetimes 0.11.3's ModifiedBetaGeoFitter on the same rows
    assert modified.values == pytest.approx((0.5248, 6.1831, 0.8914, 1.6140), rel=2e-4)


def test_cdnow_holdout_by_calibration_frequency(
    log: pl.LazyFrame, cohort: pl.DataFrame, published: Buying
) -> None:
    """The table behind figure 4 of the paper: weeks 40 to 78 by repeats in weeks 1 to 39. Bin
    sizes and actual means as in BTYD's walkthrough; expected ones as lifetimes 0.11.3 has them."""
    later = log.filter(pl.col("ts") >= OCTOBER).group_by("user_id")
    counts = collect(later.agg(later=pl.col("ts").n_unique()), CPU)
    table = cohort.join(counts, on="user_id", how="left", maintain_order="left").with_columns(
        pl.col("later").fill_null(0),
        expected=published.expected_purchases(cohort, WEEKS * 7),
        bin=pl.col("frequency").clip(upper_bound=7),
    )
    bins = table.group_by("bin").agg(pl.len(), pl.col("later", "expected").mean()).sort("bin")
    assert bins["len"].to_list() == [1411, 439, 214, 100, 62, 38, 29, 64]
    actual = (0.2367, 0.6970, 1.3925, 1.5600, 2.5323, 2.9474, 3.8621, 6.3594)
    expected = (0.2251, 0.5231, 1.0441, 1.5203, 2.1639, 2.6538, 3.5040, 6.1572)
    assert bins["later"].to_list() == pytest.approx(actual, abs=1e-4)
    assert bins["expected"].to_list() == pytest.approx(expected, abs=5e-4)


def test_cdnow_repeats_are_tracked_week_by_week(
    log: pl.LazyFrame, cohort: pl.DataFrame, published: Buying
) -> None:
    """Figure 2 of the paper: cumulative repeats of the cohort, fitted to week 39, to week 78."""
    newcomer = pl.DataFrame({"frequency": [0.0], "recency": [0.0], "age": [0.0]})
    ages = cohort["age"].to_numpy() * 7
    days = collect(log.select("user_id", "ts").unique(), CPU)
    repeats = days.filter(pl.col("ts") > pl.col("ts").min().over("user_id"))
    for week, most in ((39, 0.02), (52, 0.04), (78, 0.05)):
        ahead = week - WEEKS
        known = np.unique(ages + ahead * 7, return_counts=True)
        each = [float(published.expected_purchases(newcomer, age)[0]) for age in known[0]]
        expected = float(np.dot(each, known[1]))
        actual = repeats.filter(pl.col("ts") < OCTOBER + timedelta(weeks=ahead)).height
        assert abs(expected / actual - 1) < most, f"week {week}: {expected:.0f} of {actual}"
