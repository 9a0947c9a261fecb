"""Intervals of value hold what they promise, and over time as far as the past can teach."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.churn_level import Span
from training.conformal import Conformal, covered, fit_conformal, quantile_at
from training.coverage import Forecast, track
from training.metrics import Floats
from training.value_level import ValuePast, sums, value_level

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)


def _value(random: np.random.Generator, n: int, silent: float, grown: float = 1.0) -> Floats:
    spent = grown * random.lognormal(3, 1, n)
    return np.where(random.random(n) < silent, 0.0, spent)


def _world(
    seed: int, n: int, silent: float, off: float = 1.0, grown: float = 1.0
) -> tuple[Floats, Floats]:
    """Quantiles of a model that is wrong by the factor `off`, and values; half are silent less."""
    random = np.random.default_rng(seed)
    gone = np.where(np.arange(n) % 2, silent, silent / 8)
    value = np.where(random.random(n) < gone, 0.0, grown * random.lognormal(3, 1, n))
    sample = np.sort(_value(random, 20_000, silent)), np.sort(_value(random, 20_000, silent / 8))
    both = [np.quantile(each, LEVELS) for each in sample]
    return off * np.where(np.arange(n)[:, None] % 2, both[0], both[1]), value


@pytest.mark.parametrize("silent", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("off", [0.3, 1.0, 2.0])
def test_coverage_is_what_was_asked_for_whatever_the_model(silent: float, off: float) -> None:
    found = []
    for seed in range(40):
        conformal = fit_conformal(*_with_levels(_world(2 * seed, 400, silent, off)))
        found.append(covered(conformal, *_world(2 * seed + 1, 2000, silent, off)).mean())
    assert 0.89 <= np.mean(found) <= 0.93


def _with_levels(pair: tuple[Floats, Floats]) -> tuple[Floats, tuple[float, ...], Floats]:
    return pair[0], LEVELS, pair[1]


@given(n=st.integers(1, 60), misses=st.sampled_from([0.05, 0.1, 0.2]), block=st.integers(0, 10**4))
@settings(max_examples=10, deadline=None)
def test_small_slices_never_cover_too_little(n: int, misses: float, block: int) -> None:
    """The finite-sample promise, on the mean over slices: 1 - misses or more."""
    inside, draws = [], 300
    for seed in range(draws):
        random = np.random.default_rng([block, seed])
        value = _value(random, n + 20, 0.3)
        quantiles = np.tile([0.0, 1.0, 5.0, 20.0, 30.0, 40.0], (n + 20, 1))
        conformal = fit_conformal(quantiles[:n], LEVELS, value[:n], misses=misses)
        inside.append(covered(conformal, quantiles[n:], value[n:]).mean())
    assert np.mean(inside) >= 1 - misses - 4 * np.std(inside) / np.sqrt(draws)


def test_a_user_of_many_rows_weighs_as_much_as_another() -> None:
    """Of 400 users a tenth are heavy, with 50 rows each that all lie far out."""
    random = np.random.default_rng(0)
    heavy = np.arange(400) < 60
    users = np.repeat(np.arange(400), np.where(heavy, 50, 1)).astype(str)
    far = np.repeat(heavy, np.where(heavy, 50, 1))
    value = np.where(far, 1000.0, random.uniform(1, 10, len(users)))
    quantiles = np.tile(np.linspace(1.0, 10.0, len(LEVELS)), (len(users), 1))
    by_rows = fit_conformal(quantiles, LEVELS, value, misses=0.4)
    by_users = fit_conformal(quantiles, LEVELS, value, users, misses=0.4)
    assert by_rows(quantiles)[1][0] == pytest.approx(1000.0)
    assert by_users(quantiles)[1][0] < 11


@given(seed=st.integers(0, 10**6), n=st.integers(0, 40), refunds=st.booleans())
@settings(max_examples=40, deadline=None)
def test_ends_are_in_order_and_survive_json(seed: int, n: int, refunds: bool) -> None:
    random = np.random.default_rng(seed)
    quantiles = np.sort(random.lognormal(1, 2, (n + 1, len(LEVELS))), axis=1)
    value = _value(random, n, 0.4) - (30.0 if refunds else 0.0)
    conformal = fit_conformal(quantiles[:n], LEVELS, value)
    low, high = conformal(quantiles)
    assert not np.isnan(low).any()
    assert not np.isnan(high).any()
    assert (low <= high).all()
    if conformal.least is not None:
        assert (low >= 0).all()
    back = Conformal.from_dict(json.loads(json.dumps(conformal.to_dict())))
    assert back == conformal


def test_too_few_users_promise_nothing() -> None:
    conformal = fit_conformal(np.ones((5, 6)), LEVELS, np.arange(5) + 1.0)
    assert conformal(np.ones((1, 6)))[1][0] == np.inf


def test_quantiles_between_levels_lie_on_a_line() -> None:
    quantiles = np.array([[0.0, 10.0, 30.0]])
    for level, wanted in ((0.1, 0.0), (0.25, 5.0), (0.6, 20.0), (0.99, 30.0)):
        found = quantile_at(quantiles, (0.1, 0.4, 0.8), level)
        assert found[0] == pytest.approx(wanted)


def _series(growth: Floats, users: int = 600) -> list[Forecast]:
    """A cutoff each 30 days; the level of spending grows, the model's quantiles do not."""
    found = []
    for k, grown in enumerate(growth):
        quantiles, value = _world(k, users, 0.3, grown=float(grown))
        found.append(Forecast(30.0 * k, quantiles, value))
    return found


SPAN = Span(0.0, 30.0)


def test_coverage_over_past_cutoffs_is_measured_with_what_was_known() -> None:
    past = _series(np.ones(8))
    found = track(past, LEVELS, 240.0, SPAN)
    assert found is not None
    assert found.rate == 0.0
    assert [row["day"] for row in found.rows if row["chosen"]] == [30.0 * k for k in range(1, 8)]
    assert found.coverage == pytest.approx(0.9, abs=0.03)
    # A change of the newest labels, not matured on day 225, changes nothing there.
    assert past[7].value is not None
    later = [*past[:7], Forecast(210.0, past[7].quantiles, past[7].value * 9)]
    one, two = track(past, LEVELS, 225.0, SPAN), track(later, LEVELS, 225.0, SPAN)
    assert one is not None
    assert two is not None
    assert one.conformal == two.conformal


def test_steady_growth_is_met_by_fewer_misses_allowed() -> None:
    past = _series(1.8 ** np.arange(14))
    found = track(past[:-1], LEVELS, past[-1].day, SPAN)
    assert found is not None
    assert found.rate > 0
    assert found.allowed < 0.1
    newest = past[-2].value
    value = past[-1].value
    assert newest is not None
    assert value is not None
    still = fit_conformal(past[-2].quantiles, LEVELS, newest)
    reached = [
        float(covered(each, past[-1].quantiles, value).mean()) for each in (found.conformal, still)
    ]
    assert reached[1] < 0.87
    assert abs(reached[0] - 0.9) < abs(reached[1] - 0.9)


def test_without_matured_labels_there_is_no_interval() -> None:
    assert track(_series(np.ones(1)), LEVELS, 10.0, SPAN) is None


def test_the_level_of_value_reads_no_label_before_it_has_matured() -> None:
    random = np.random.default_rng(3)
    past = [
        ValuePast(30.0 * k, sums(random.lognormal(3, 1, 50), np.full(50, 30.0))) for k in range(9)
    ]
    later = [
        *past[:7],
        *(ValuePast(one.day, sums(np.full(50, 900.0), np.ones(50))) for one in past[7:]),
    ]
    one, two = (value_level(each, 210.0, SPAN) for each in (past, later))
    assert one == two
    assert len({row["day"] for row in one.rows}) == 6


def test_the_sum_of_value_follows_its_trend() -> None:
    random = np.random.default_rng(0)
    rate = 0.9 ** np.arange(20)
    past = []
    for k, level in enumerate(rate):
        expected = random.lognormal(3, 0.5, 3000)
        value = level * expected * random.gamma(4.0, 0.25, 3000)
        past.append(ValuePast(30.0 * k, sums(value, expected)))
    found = value_level(past[:-1], past[-1].day, Span(0.0, 60.0))
    assert found.chosen.name == "trend"
    last = past[-1].value
    assert last is not None
    newest = past[17].value
    assert newest is not None
    needed = last.level - newest.level
    assert abs(np.log(found.factor) - needed) < 0.5 * abs(needed)


def test_a_mean_that_holds_is_hardly_touched() -> None:
    random = np.random.default_rng(1)
    for _ in range(10):
        past = []
        for k in range(14):
            expected = random.lognormal(3, 0.5, 300)
            value = expected * random.gamma(0.5, 2.0, 300)
            past.append(ValuePast(30.0 * k, sums(value, expected)))
        assert value_level(past, 420.0, SPAN).factor == pytest.approx(1.0, abs=0.15)


def test_sums_know_their_error() -> None:
    random = np.random.default_rng(2)
    ratios = []
    for _ in range(400):
        expected = random.lognormal(2, 1, 500)
        found = sums(expected * random.exponential(1.0, 500), expected)
        assert found is not None
        ratios.append((found.level, found.error))
    levels, errors = np.array(ratios).T
    assert errors.mean() == pytest.approx(levels.std(), rel=0.15)
    assert sums(np.zeros(5), np.ones(5)) is None
    assert sums(np.full(5, np.nan), np.ones(5)) is None
