"""What customers will do: against the printed formulas in forty digits and against simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import buying_naive
from oracles.buying_futures import simulate_future

from runtime.errors import UsageError
from training.buying_data import Histories
from training.buying_fit import Fit
from training.buying_predict import Law
from training.buying_spend import Spend, mean_spend, posterior
from training.buying_value import purchase_quantiles, value_quantiles

CDNOW = (0.243, 4.414, 0.793, 2.426)
SPEND = Fit(("p", "q", "gamma"), (6.25, 3.74, 15.44), (), 0.0, 1, 1)
KNOWN = Histories(
    np.array([0.0, 1.0, 5.0, 20.0]),
    np.array([0.0, 3.0, 30.4, 38.0]),
    np.array([38.9, 30.0, 38.9, 39.0]),
)

any_law = st.builds(
    Law,
    r=st.floats(-4, 4).map(np.exp),
    alpha=st.floats(-3, 5).map(np.exp),
    a=st.floats(-4, 4).map(np.exp),
    b=st.floats(-3, 5).map(np.exp),
    extra=st.integers(0, 1),
)
horizon = st.floats(-5, 6).map(np.exp)


@st.composite
def one_customer(draw: st.DrawFn) -> Histories:
    x = draw(st.integers(0, 60))
    age = draw(st.floats(0.01, 400))
    recency = age * draw(st.floats(0, 1)) if x else 0.0
    return Histories(np.array([float(x)]), np.array([recency]), np.array([age]))


def only(known: Histories) -> tuple[float, float, float]:
    return tuple(float(values[0]) for values in vars(known).values())  # type: ignore[return-value]


def parameters(law: Law) -> tuple[float, float, float, float]:
    return law.r, law.alpha, law.a, law.b


@given(law=any_law, known=one_customer())
@settings(max_examples=100, deadline=None)
def test_alive_is_a_probability_and_the_printed_one(law: Law, known: Histories) -> None:
    found = float(law.alive(known)[0])
    assert 0 <= found <= 1
    assert found == pytest.approx(
        buying_naive.alive(parameters(law), *only(known), law.extra), rel=1e-9, abs=1e-300
    )


@given(law=any_law, known=one_customer(), start=horizon, length=horizon, gap=horizon | st.just(0.0))
@settings(max_examples=100, deadline=None)
def test_the_first_purchase_comes_in_some_part(
    law: Law, known: Histories, start: float, length: float, gap: float
) -> None:
    """What is silent until the start and not until the end came back between."""
    early, late = law.back(known, 0.0, start, gap), law.back(known, start, start + length, gap)
    whole = law.back(known, 0.0, start + length, gap)
    assert early + late == pytest.approx(whole, rel=1e-6, abs=1e-12)
    assert whole == pytest.approx(1 - law.silent(known, start + length, gap), abs=1e-12)


@given(law=any_law, after=st.lists(horizon, min_size=1, max_size=4), window=horizon)
@settings(max_examples=50, deadline=None)
def test_a_newcomer_is_back_in_a_window(law: Law, after: list[float], window: float) -> None:
    none = np.zeros(1)
    each = [law.back(Histories(none, none, none), 0.0, window, gap)[0] for gap in after]
    found = law.newcomer_back(np.array(after), window)
    assert found == pytest.approx(each, rel=1e-6, abs=1e-12)


@given(law=any_law, known=one_customer(), ahead=st.floats(-5, 3).map(np.exp))
@settings(max_examples=50, deadline=None)
def test_purchases_equal_the_hypergeometric_function(
    law: Law, known: Histories, ahead: float
) -> None:
    assume(abs(law.a - 1) > 1e-6)  # there the printed form divides by nothing
    ahead = ahead * (law.alpha + float(known.age[0])) / 4  # further, mpmath takes minutes
    expected = buying_naive.expected_purchases(parameters(law), *only(known), ahead, law.extra)
    assert float(law.purchases(known, ahead)[0]) == pytest.approx(expected, rel=1e-7, abs=1e-280)


@pytest.mark.parametrize("a", [1.0, 1 + 1e-13, 1 - 1e-9, 1e-4, 300.0])
@pytest.mark.parametrize("ahead", [1e-9, 1.0, 1e3, 1e9])
def test_purchases_are_steady_where_the_published_form_is_not(a: float, ahead: float) -> None:
    """At a = 1 it divides by 0, and far ahead its series does not end. Here: the sum over n."""
    law, known = Law(0.5, 5.0, a, 2.0, 0), Histories(*np.array([[3.0], [20.0], [30.0]]))
    n = np.unique(np.floor(np.exp(np.linspace(0, np.log(4e11), 60_000)) - 1))
    more = law.more_if_alive(known.frequency, known.age, ahead, n)
    # Between whole numbers that are far apart the sum is the area under a curve that falls.
    between = np.diff(n)
    area = np.where(between > 1, (more[1:] + more[:-1]) / 2, more[:-1]) * between
    expected = float(law.alive(known)[0] * (area.sum() + more[-1]))
    assert float(law.purchases(known, ahead)[0]) == pytest.approx(expected, rel=2e-4)


@given(law=any_law, known=one_customer(), one=horizon, other=horizon)
@settings(max_examples=50, deadline=None)
def test_purchases_rise_with_the_horizon_up_to_their_limit(
    law: Law, known: Histories, one: float, other: float
) -> None:
    near, far = sorted((one, other))
    counts = [float(law.purchases(known, h)[0]) for h in (0.0, near, far, 1e14, math.inf)]
    assert counts[0] == 0
    for less, more in pairwise(counts):
        assert less <= more * (1 + 1e-9)
    assert math.isinf(counts[-1]) == (law.a <= 1 and counts[1] > 0)
    if law.a > 1.5:
        slow = law.r + only(known)[0] < 0.5  # rates so near 0 that even 1e14 is soon
        assert counts[-2] == pytest.approx(counts[-1], rel=0.5 if slow else 1e-3)
        k = only(known)[0] + law.extra
        limit = float(law.alive(known)[0]) * (law.a + law.b + k - 1) / (law.a - 1)
        assert counts[-1] == pytest.approx(limit, rel=1e-12)


@given(law=any_law, known=one_customer(), ahead=horizon, gap=horizon)
@settings(max_examples=100, deadline=None)
def test_silence_is_a_probability_that_falls_with_the_horizon(
    law: Law, known: Histories, ahead: float, gap: float
) -> None:
    near, far = (float(law.silent(known, h)[0]) for h in (ahead, 2 * ahead))
    assert 1 - float(law.alive(known)[0]) - 1e-12 <= far <= near <= 1
    assert near == pytest.approx(1 - float(law.more_than(known, ahead, np.zeros(1))[0]), abs=1e-12)
    after = float(law.silent(known, ahead, gap)[0])
    assert near - 1e-9 <= after <= 1  # who may leave in the gap is more likely to be silent
    assert float(law.silent(known, ahead, 1e-13)[0]) == pytest.approx(near, abs=1e-9)


@given(law=any_law, known=one_customer(), ahead=horizon, gap=horizon)
@settings(max_examples=60, deadline=None)
def test_purchases_after_a_gap_are_those_up_to_its_end_less(
    law: Law, known: Histories, ahead: float, gap: float
) -> None:
    whole, before = (float(law.purchases(known, h)[0]) for h in (gap + ahead, gap))
    assert float(law.purchases(known, ahead, gap)[0]) == pytest.approx(
        whole - before, rel=1e-6, abs=1e-9 * whole
    )


@pytest.mark.parametrize("extra", [0, 1])
def test_simulated_futures_are_as_foretold(extra: int) -> None:
    law, draws = Law(*CDNOW, extra), 200_000
    alive = law.alive(KNOWN)
    counts = simulate_future(CDNOW, KNOWN, alive, 39.0, extra, draws, seed=3)
    error = 4.5 / draws**0.5
    np.testing.assert_allclose((counts == 0).mean(0), law.silent(KNOWN, 39.0), atol=error / 2)
    np.testing.assert_allclose(
        counts.mean(0), law.purchases(KNOWN, 39.0), atol=error * counts.std(0).max()
    )
    for n in (0.0, 1.0, 4.0, 12.0):
        more = law.more_than(KNOWN, 39.0, np.full(4, n))
        np.testing.assert_allclose((counts > n).mean(0), more, atol=error / 2)


def test_a_simulated_gap_silences_as_foretold() -> None:
    """Purchase by purchase, of customers whose rate and risk are drawn given the history."""
    law, draws, gap, ahead = Law(*CDNOW, 0), 200_000, 10.0, 20.0
    x, recency, age = 5.0, 30.4, 38.9
    known = Histories(np.array([x]), np.array([recency]), np.array([age]))
    draw = np.random.default_rng(5)
    rate = draw.gamma(law.r + x, 1 / (law.alpha + age), draws)
    risk = draw.beta(law.a, law.b + x, draws)
    living, at = draw.random(draws) < law.alive(known), np.zeros(draws)
    bought = np.zeros(draws, dtype=bool)
    while living.any():
        at += draw.exponential(size=draws) / rate
        bought |= living & (at > gap) & (at <= gap + ahead)
        living &= (at <= gap + ahead) & (draw.random(draws) >= risk)
    found = float(law.silent(known, ahead, gap)[0])
    assert 1 - bought.mean() == pytest.approx(found, abs=4.5 * 0.5 / draws**0.5)


def test_who_buys_again_in_lifetimes_own_example() -> None:
    """Fader, Hardie & Lee's worked customer: x 2, t_x 30.43, T 38.86; figures of lifetimes."""
    known = Histories(np.array([2.0]), np.array([30.43]), np.array([38.86]))
    law = Law(0.242593, 4.413532, 0.792886, 2.425752, 0)
    assert float(law.alive(known)[0]) == pytest.approx(0.726609, abs=1e-5)
    assert float(law.purchases(known, 39.0)[0]) == pytest.approx(1.225910, abs=1e-5)
    law = Law(0.524838, 6.182988, 0.891356, 1.614000, 1)
    assert float(law.alive(known)[0]) == pytest.approx(0.706126, abs=1e-5)
    assert float(law.purchases(known, 39.0)[0]) == pytest.approx(1.262671, abs=1e-5)


def test_mean_spend_lies_between_the_customers_and_everyones() -> None:
    p, q, gamma = SPEND.values
    everyone = p * gamma / (q - 1)
    found = mean_spend(
        SPEND, Spend(np.array([0.0, 1.0, 10.0, 1e9]), np.array([np.nan, 90, 90, 90]))
    )
    assert found[0] == pytest.approx(everyone)
    assert everyone < found[1] < found[2] < found[3]
    assert found[3] == pytest.approx(90.0, rel=1e-6)
    endless = Fit(SPEND.names, (0.2, 0.5, 1.0), (), 0.0, 1, 1)
    assert np.isinf(mean_spend(endless, Spend(np.array([0.0, 1.0]), np.array([0.0, 3.0])))).all()


@pytest.mark.parametrize("extra", [0, 1])
def test_value_and_counts_are_distributed_as_simulated(extra: int) -> None:
    law, draws, levels = Law(*CDNOW, extra), 300_000, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    spend = Spend(np.array([0.0, 1.0, 5.0, 20.0]), np.array([0.0, 20.0, 30.0, 60.0]))
    counts = simulate_future(CDNOW, KNOWN, law.alive(KNOWN), 39.0, extra, draws, seed=11)
    draw = np.random.default_rng(12)
    shape, rate = posterior(SPEND, spend)
    nu = draw.gamma(shape, 1 / rate, counts.shape)
    value = np.where(counts > 0, draw.gamma(np.maximum(counts, 1) * SPEND.values[0]) / nu, 0.0)
    found = value_quantiles(law, SPEND, KNOWN, spend, 39.0, levels)
    for k in range(len(KNOWN)):
        for place, level in enumerate(levels):
            share = (value[:, k] <= found[k, place]).mean()
            if found[k, place] > 0:
                assert share == pytest.approx(level, abs=0.004)
            else:
                assert share >= level - 0.004
    mean = law.purchases(KNOWN, 39.0) * mean_spend(SPEND, spend)
    np.testing.assert_allclose(value.mean(0), mean, rtol=0.05)
    numbers = purchase_quantiles(law, KNOWN, 39.0, levels)
    expected = np.quantile(counts, levels, axis=0, method="inverted_cdf").T
    assert np.abs(numbers - expected).max() <= 1
    assert (numbers == expected).mean() > 0.9


def test_quantiles_rise_with_their_level_and_the_horizon() -> None:
    law, spend = Law(*CDNOW, 0), Spend(np.arange(4.0), np.full(4, 20.0))
    found = [
        value_quantiles(law, SPEND, KNOWN, spend, h, (0.5, 0.9, 0.99)) for h in (0, 1, 39, 900)
    ]
    assert not found[0].any()
    assert (np.diff(np.stack(found), axis=0) >= 0).all()
    assert (np.diff(found[2], axis=1) >= 0).all()


def test_what_cannot_be_meant_is_refused() -> None:
    law = Law(*CDNOW, 0)
    with pytest.raises(UsageError, match="horizon -1"):
        law.purchases(KNOWN, -1.0)
    with pytest.raises(UsageError, match="gap -2"):
        law.silent(KNOWN, 1.0, -2.0)
    with pytest.raises(UsageError, match=r"quantile level 1\.5"):
        purchase_quantiles(law, KNOWN, 1.0, [1.5])
    with pytest.raises(UsageError, match="quantiles over a horizon of inf"):
        purchase_quantiles(law, KNOWN, math.inf, [0.5])
