"""The formulas of the heads equal naive ones and their gradients finite differences; far out,
where the naive ones overflow, they stay finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles import sequence_naive as naive
from torch.autograd import gradcheck
from torch.nn.functional import softplus

from training import sequence_losses as losses
from training.validation import tweedie

EDGES = (7.0, 14.0, 28.0, 56.0)
BINS = len(EDGES)
SIX = {"rel": 1e-6, "abs": 1e-9}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


logits = st.lists(st.floats(-6, 6), min_size=BINS, max_size=BINS)
spans = st.tuples(st.integers(0, BINS), st.integers(1, BINS + 1)).map(
    lambda drawn: (drawn[0], min(drawn[0] + drawn[1], BINS + 1))
)


def row(values: list[float]) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def drawn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@hypothesis_settings(max_examples=200, deadline=None)
@given(values=logits, span=spans)
def test_the_hazard_is_as_likely_as_the_product_says(
    values: list[float], span: tuple[int, int]
) -> None:
    low, high = (torch.tensor([end]) for end in span)
    found = losses.hazard_loss(row(values), low, high)
    expected = naive.hazard_likelihood(np.array(values), *span)
    assert math.exp(-found.item()) == pytest.approx(expected, **SIX)


@hypothesis_settings(max_examples=200, deadline=None)
@given(values=logits, days=st.lists(st.floats(0, 200), min_size=2, max_size=6))
def test_the_curve_is_the_naive_one_and_never_falls(values: list[float], days: list[float]) -> None:
    days = sorted(days)
    edges, at = (torch.tensor(d, dtype=torch.float64) for d in (EDGES, days))
    found = losses.reached(row(values), edges, at)[0]
    expected = [naive.reached(np.array(values), EDGES, day) for day in days]
    assert found.tolist() == pytest.approx(expected, **SIX)
    assert (found.diff() >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_pinned_curve() -> None:
    """Half are gone in each bin; half a bin is the square root of that."""
    edges, days = torch.tensor(EDGES), torch.tensor([0.0, 3.5, 7.0, 14.0, 56.0, 84.0])
    found = losses.reached(torch.zeros(1, BINS), edges, days)[0]
    expected = [0.0, 1 - 0.5**0.5, 0.5, 0.75, 0.9375, 0.96875]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("far", [-1e4, -200.0, 200.0, 1e4])
def test_far_logits_keep_finite_losses_and_gradients(far: float) -> None:
    """Single precision: exp(200) is already infinite there."""
    low = torch.tensor([0, 1, 2, BINS, 0])
    high = torch.tensor([1, BINS, 3, BINS + 1, BINS + 1])
    values = torch.full((5, BINS), far, requires_grad=True)
    losses.hazard_loss(values, low, high).sum().backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()
    parts = torch.tensor([[far, 0.0, -200.0], [far, 1e3, 0.0]], requires_grad=True)
    each = losses.ziln_loss(parts, torch.tensor([3.0, 0.0]))
    each.sum().backward()
    assert each.isfinite().all()
    assert parts.grad is not None
    assert parts.grad.isfinite().all()


def test_a_user_seen_briefly_teaches_the_early_bins_alone() -> None:
    values = torch.zeros(1, BINS, requires_grad=True)
    losses.hazard_loss(values, torch.tensor([2]), torch.tensor([BINS + 1])).sum().backward()
    assert values.grad is not None
    assert values.grad[0].tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0])
    nothing = losses.hazard_loss(values, torch.tensor([0]), torch.tensor([BINS + 1]))
    assert nothing.item() == 0


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    odds=st.floats(-6, 6),
    mu=st.floats(-3, 8),
    raw=st.floats(-6, 3),
    value=st.one_of(st.just(0.0), st.just(-5.0), st.floats(1e-3, 1e5)),
)
def test_ziln_is_as_dense_as_its_definition(
    odds: float, mu: float, raw: float, value: float
) -> None:
    parts = row([odds, mu, raw])
    sigma = losses.ziln_sigma(parts).item()
    assert sigma >= losses.SIGMA_FLOOR
    found = losses.ziln_loss(parts, row([value])[0]).item()
    density = naive.ziln_density(odds, mu, sigma, value)
    if density > 1e-280:
        assert found == pytest.approx(-math.log(density), **SIX)
    else:
        assert found > 600


@pytest.mark.parametrize(("odds", "mu", "raw"), [(0.4, 1.0, 0.0), (-1.5, 3.0, -1.0), (3, 0, 0.5)])
def test_ziln_mean_and_quantiles_are_those_of_a_simulation(
    odds: float, mu: float, raw: float
) -> None:
    random = np.random.default_rng(3)
    parts, n = row([odds, mu, raw]), 400_000
    sigma = losses.ziln_sigma(parts).item()
    some = random.random(n) < 1 / (1 + math.exp(-odds))
    drawn_values = np.where(some, random.lognormal(mu, sigma, n), 0.0)
    error = drawn_values.std() / n**0.5
    assert losses.ziln_mean(parts).item() == pytest.approx(drawn_values.mean(), abs=4 * error)
    levels = torch.tensor([0.05, 0.3, 0.5, 0.9, 0.99], dtype=torch.float64)
    found = losses.ziln_quantiles(parts, levels)[0]
    for level, quantile in zip(levels.tolist(), found.tolist(), strict=True):
        below, upto = (drawn_values < quantile).mean(), (drawn_values <= quantile).mean()
        assert below - 0.005 <= level <= upto + 0.005
    assert (found.diff() >= 0).all()


def test_pinned_ziln_median() -> None:
    """With a chance of exactly a half or less the median is nothing; with all, that of the log."""
    levels = torch.tensor([0.5], dtype=torch.float64)
    parts = torch.tensor([[0.0, 2.0, 0.0], [-1.0, 2.0, 0.0], [40.0, 2.0, 0.0]]).double()
    assert losses.ziln_quantiles(parts, levels)[:, 0].tolist() == pytest.approx([0, 0, math.e**2])


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(-4, 4), min_size=9, max_size=9),
    seconds=st.floats(0, 1e7),
)
def test_the_gap_is_as_dense_as_a_sum_of_normals(values: list[float], seconds: float) -> None:
    mixture = torch.tensor(values, dtype=torch.float64).reshape(1, 3, 3)
    sigma = (losses.SIGMA_FLOOR + softplus(mixture[0, 2])).numpy()
    density = naive.gap_density(mixture[0].numpy(), sigma, seconds)
    found = losses.gap_loss(mixture, torch.tensor([seconds], dtype=torch.float64)).item()
    if density > 1e-280:
        assert found == pytest.approx(-math.log(density), **SIX)
    else:
        assert found > 600


def test_gradients_are_finite_differences() -> None:
    low, high = torch.tensor([0, 1, 4, 2]), torch.tensor([2, 2, 5, 4])
    assert gradcheck(lambda x: losses.hazard_loss(x, low, high), drawn(4, BINS))
    edges, days = torch.tensor(EDGES).double(), torch.tensor([3.0, 30.0, 99.0]).double()
    assert gradcheck(lambda x: losses.reached(x, edges, days), drawn(4, BINS))
    value = torch.tensor([0.0, 3.0, 0.5, 1e4]).double()
    assert gradcheck(lambda x: losses.ziln_loss(x, value), drawn(4, 3))
    assert gradcheck(losses.ziln_mean, drawn(4, 3))
    assert gradcheck(lambda x: losses.gap_loss(x, 100 * value), drawn(4, 3, 2))
    owners = torch.tensor([0, 0, 1, 1, 2])
    assert gradcheck(lambda x: losses.contrastive_loss(x, owners, 9.0, 2)[0], drawn(5, 3) * 0.3)


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    owners=st.lists(st.integers(0, 3), min_size=2, max_size=9),
    negatives=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_the_contrast_is_that_of_a_loop(owners: list[int], negatives: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(len(owners), 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    total, count = losses.contrastive_loss(
        torch.from_numpy(rows), torch.tensor(owners), 0.8, negatives
    )
    expected = naive.contrastive(rows, owners, 0.8, negatives)
    assert (total / count.clamp(min=1)).item() == pytest.approx(expected, abs=1e-9)


def test_the_tweedie_loss_is_that_models_are_chosen_by() -> None:
    draw = np.random.default_rng(0)
    log_mean, value = draw.normal(0, 2, 50), np.maximum(draw.normal(0, 3, 50), -1.0)
    found = losses.tweedie_loss(torch.tensor(log_mean), torch.tensor(value))
    expected = tweedie(np.exp(log_mean), np.maximum(value, 0.0))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
