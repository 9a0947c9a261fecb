"""With covariates: the same likelihood, found coefficients, and nothing where they say nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import buying_naive

from runtime.errors import UsageError
from training.buying_bgnbd import fit_bgnbd
from training.buying_covariates import fit_covariates, log_likelihood
from training.buying_data import Histories
from training.buying_simulate import simulate

TRUE = (0.8, 5.0, 0.8, 2.4)


def mixed(customers: int, rate: float, a: float, b: float) -> tuple[Histories, np.ndarray]:
    """Half of them in a group of its own, whose members differ by these coefficients."""
    ages = np.random.default_rng(1).uniform(20, 80, customers)
    plain = simulate(TRUE, ages, 0, 2)
    there = TRUE[0], TRUE[1] * np.exp(-rate), TRUE[2] * np.exp(a), TRUE[3] * np.exp(b)
    other = simulate(there, ages, 0, 3)
    both = [
        np.concatenate(pair)
        for pair in zip(vars(plain).values(), vars(other).values(), strict=True)
    ]
    group = np.repeat([0.0, 1.0], customers)[:, None]
    return Histories(*both), group


@given(
    logs=st.lists(st.floats(-2, 3), min_size=4, max_size=4),
    x=st.integers(0, 40),
    age=st.floats(0, 200),
    share=st.floats(0, 1),
    extra=st.integers(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_the_likelihood_equals_the_printed_one(
    logs: list[float], x: int, age: float, share: float, extra: int
) -> None:
    t = age * share if x else 0.0
    rows = (torch.tensor([value], dtype=torch.float64) for value in (float(x), t, age))
    found = log_likelihood(torch.tensor([logs], dtype=torch.float64), *rows, extra)
    at = tuple(np.exp(logs).tolist())
    naive = buying_naive.bg_log_likelihood(at, float(x), t, age, extra)
    assert float(found[0]) == pytest.approx(naive, rel=1e-9, abs=1e-9)


def test_the_coefficients_are_found() -> None:
    known, group = mixed(10_000, rate=0.7, a=0.5, b=-0.3)
    fit = fit_covariates(known, group, 10 * group, ["club"], ["club"])
    truth = (*TRUE, 0.7, 0.05, -0.03)
    for end, true in zip(fit.interval(0.999).values(), truth, strict=True):
        assert end is not None
        assert end[0] <= true <= end[1]
    assert fit.log_likelihood > fit_bgnbd([known]).log_likelihood + 100


def test_without_covariates_it_is_the_fit_without_them() -> None:
    known, _ = mixed(2_000, 0.0, 0.0, 0.0)
    none = np.empty((len(known), 0))
    fit, plain = fit_covariates(known, none, none, [], []), fit_bgnbd([known])
    assert fit.values == pytest.approx(plain.values, rel=1e-6)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
    for row, other in zip(fit.covariance, plain.log_covariance, strict=True):
        assert row == pytest.approx(other, rel=1e-4)


def test_each_group_has_its_own_law_and_how_sure_it_is() -> None:
    known, group = mixed(3_000, rate=0.7, a=0.5, b=0.0)
    fit = fit_covariates(known, group, group, ["club"], ["club"], kind="mbg/nbd")
    (mine, first), (others, second) = fit.fits(group, group)
    assert group[mine].max() == 0
    assert group[others].min() == 1
    assert first.values == pytest.approx(fit.values[:4], rel=1e-12)
    r, alpha, a, b = first.values
    by_rate, by_a, by_b = np.exp(fit.values[4:])
    assert second.values == pytest.approx((r, alpha / by_rate, a * by_a, b * by_b), rel=1e-12)
    told = np.array(fit.covariance, dtype=np.float64)
    assert np.array(first.log_covariance) == pytest.approx(told[:4, :4])
    # log alpha of the others is log alpha less the coefficient.
    variance = told[1, 1] + told[4, 4] - 2 * told[1, 4]
    assert second.log_covariance[1][1] == pytest.approx(variance)


def test_a_bucket_without_customers_has_no_group() -> None:
    known, group = mixed(200, rate=0.7, a=0.0, b=0.0)
    fit = fit_covariates(known, group, group, ["club"], ["club"])
    assert list(fit.fits(group[:0], group[:0])) == []
    assert len(list(fit.fits(group[:1], group[:1]))) == 1


def test_a_covariate_that_everyone_shares_is_told_of() -> None:
    known, group = mixed(500, 0.0, 0.0, 0.0)
    fit = fit_covariates(known, np.ones_like(group), group[:, :0], ["same"], [])
    assert "flat" in fit.notes[0]


def test_covariates_of_another_shape_are_refused() -> None:
    known, group = mixed(50, 0.0, 0.0, 0.0)
    with pytest.raises(UsageError, match=r"covariates of leaving of shape \(99, 1\)"):
        fit_covariates(known, group, group[1:], ["club"], ["club"])
    with pytest.raises(UsageError, match="covariates of rate"):
        fit_covariates(known, group * np.nan, group, ["club"], ["club"])
