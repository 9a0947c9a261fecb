"""Models of value as a distribution: rising quantiles, honest means, no order, no pickles."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_frames import FEATURES, cutoffs, snapshot_frame

from runtime.device import Device
from runtime.errors import ModelError
from training import quantiles, two_part, value_trees, ziln, ziln_fit
from training.fitting import relative_value
from training.metrics import Floats
from training.quantiles import QuantileSpec, along
from training.rows import Rows, labelled
from training.spread import LEVELS, Spread
from training.spread_metrics import spread_metrics
from training.trees import PartSizes, Size, XGBoostSpec
from training.two_part import TwoPartSpec
from training.ziln import Held, Parameters, ZilnSpec

CPU = Device("cpu", "a test")
ROWS = labelled(snapshot_frame(cutoffs(3), users=300), FEATURES, "fit", 0)
LATER = labelled(snapshot_frame(cutoffs(3), users=300, seed=9), FEATURES, "test", 0)
SEEDS = st.integers(0, 2**31 - 1)
Fit = Callable[..., tuple[Any, Any]]
QUICK = XGBoostSpec(depths=(2,), part_depths=(2,), most_rounds=80)
PARTS = TwoPartSpec(trees=QUICK)
FITS: dict[str, tuple[Fit, Any]] = {
    "ziln": (ziln_fit.fit_value, ZilnSpec(most_epochs=12, bags=2)),
    "two_part": (two_part.fit_value, PARTS),
    "quantiles": (quantiles.fit_value, QuantileSpec(base=PARTS)),
    "direct": (quantiles.fit_value, QuantileSpec(form="direct", base=PARTS)),
}


def relative(rows: Rows) -> Floats:
    found = relative_value(rows)
    assert found is not None
    return found


VALUE = relative(ROWS)


@pytest.fixture(scope="module")
def fitted() -> dict[str, tuple[Any, Any]]:
    return {name: fit(spec, ROWS, VALUE, CPU) for name, (fit, spec) in FITS.items()}


@pytest.mark.parametrize("name", FITS)
def test_quantiles_rise_and_are_of_the_right_shape(name: str, fitted: dict[str, Any]) -> None:
    spread: Spread = fitted[name][0].spread(LATER.x)
    assert spread.quantiles.shape == (len(LATER), len(LEVELS))
    assert (np.diff(spread.quantiles) >= 0).all()
    assert np.isfinite(spread.quantiles).all()
    assert (spread.mean > 0).all()
    assert np.allclose(np.log(spread.mean), fitted[name][0].margin(LATER.x))


@pytest.mark.parametrize("name", FITS)
def test_it_knows_more_than_one_distribution_for_all(name: str, fitted: dict[str, Any]) -> None:
    actual, ones = relative(LATER), np.ones(len(LATER))
    found = spread_metrics(actual, fitted[name][0].spread(LATER.x), ones)
    same = np.quantile(VALUE, LEVELS)
    flat = Spread(np.full(len(LATER), VALUE.mean()), LEVELS, np.tile(same, (len(LATER), 1)))
    assert found["crps"] < 0.95 * spread_metrics(actual, flat, ones)["crps"]
    assert 0.83 < float(found["coverage_90"]) < 0.95


@pytest.mark.parametrize("name", FITS)
def test_a_large_mass_at_zero_gives_zero_medians(name: str) -> None:
    rare = np.where(np.arange(len(ROWS)) % 10 < 3, VALUE, 0.0)
    fit, spec = FITS[name]
    spread = fit(spec, ROWS, rare / rare.mean(), CPU)[0].spread(LATER.x)
    # Leaves of the direct form add up to nearly 0 only; that is what the two parts are for.
    assert np.mean(spread.median <= (0.05 if name == "direct" else 0.0)) > 0.9


@pytest.mark.parametrize("name", FITS)
def test_saving_and_loading_changes_nothing_and_never_unpickles(
    name: str, fitted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read or written")

    for function in ("load", "loads", "Unpickler", "dump", "dumps", "Pickler"):
        monkeypatch.setattr(pickle, function, refuse)
    model = fitted[name][0]
    path = tmp_path / f"value{model.SUFFIX}"
    model.save(path)
    again = type(model).load(path)
    for ours, theirs in zip(_arrays(model), _arrays(again), strict=True):
        assert np.array_equal(ours, theirs)
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", FITS)
def test_what_is_no_model_is_refused(name: str, fitted: dict[str, Any], tmp_path: Path) -> None:
    kind = type(fitted[name][0])
    path = tmp_path / "value"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ModelError, match=r"holds no readable .*; train again"):
        kind.load(path)
    other = fitted["two_part" if name == "ziln" else "ziln"][0]
    other.save(path)
    with pytest.raises(ModelError, match=r"holds '\w+', not '\w+'; train again"):
        kind.load(path)


@pytest.mark.parametrize("name", FITS)
def test_the_same_seed_gives_the_same_model_and_the_settled_spec_no_search(
    name: str, fitted: dict[str, Any]
) -> None:
    fit, spec = FITS[name]
    model, settled = fitted[name]
    torch.manual_seed(123)  # what was drawn before does not matter
    again, _ = fit(spec, ROWS, VALUE, CPU)
    for ours, theirs in zip(_arrays(model), _arrays(again), strict=True):
        assert np.array_equal(ours, theirs)
    kept, unchanged = fit(settled, ROWS, VALUE, CPU)
    assert unchanged == settled
    assert np.array_equal(kept.margin(LATER.x), model.margin(LATER.x))


@pytest.mark.parametrize("name", FITS)
def test_a_row_is_asked_alone_or_among_others(name: str, fitted: dict[str, Any]) -> None:
    model = fitted[name][0]
    order = np.random.default_rng(0).permutation(len(LATER))
    whole, mixed = model.spread(LATER.x), model.spread(LATER.x[order])
    assert mixed.quantiles == pytest.approx(whole.quantiles[order], rel=1e-9, abs=1e-12)
    assert mixed.mean == pytest.approx(whole.mean[order], rel=1e-9)


@pytest.mark.parametrize("law", ["gamma", "log"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_two_part_mean_is_right_in_sum(law: str, seed: int) -> None:
    rows = labelled(snapshot_frame(cutoffs(3), users=300, seed=seed), FEATURES, "fit", 0)
    value = relative(rows)
    size = Size(2, 60)
    spec = TwoPartSpec(PartSizes(size, size, cast(Any, law)))
    model, _ = two_part.fit_value(spec, rows, value, CPU)
    assert model.mean(rows.x).sum() == pytest.approx(value.sum(), rel=0.05)
    if law == "log":  # without the smearing it is not
        assert model.factor > 1.1


def test_refunds_count_as_nothing_in_two_parts_and_as_themselves_in_direct_quantiles() -> None:
    refunded = np.where(VALUE == 0, -0.2, VALUE)
    quick = TwoPartSpec(PartSizes(Size(2, 20), Size(2, 20), "gamma"))
    in_parts = QuantileSpec(form="two_part", size=Size(2, 20), base=quick)
    for fit, spec in ((two_part.fit_value, quick), (quantiles.fit_value, in_parts)):
        ours = fit(spec, ROWS, refunded, CPU)[0].spread(LATER.x)
        same = fit(spec, ROWS, np.maximum(refunded, 0), CPU)[0].spread(LATER.x)
        assert np.array_equal(ours.quantiles, same.quantiles)
        assert ours.quantiles.min() == 0
    model, settled = quantiles.fit_value(replace(in_parts, form=None), ROWS, refunded, CPU)
    assert settled.form == "direct"
    assert model.spread(LATER.x).at(0.05).min() < -0.1


def odd_labels() -> dict[str, tuple[Rows, Floats]]:
    few = np.zeros(len(ROWS))
    few[[3, 50, 90]] = 1, 2, 50
    one_fold = replace(ROWS, fold=np.zeros(len(ROWS), dtype=np.int64))
    unknown = replace(ROWS, x=np.full_like(ROWS.x, np.nan))
    tiny = ROWS.where(np.arange(len(ROWS)) < 6)
    return {
        "three buy": (ROWS, few),
        "one buys": (ROWS, np.arange(len(ROWS)) == 7),
        "all buy": (ROWS, VALUE + 0.1),
        "all spend the same": (ROWS, np.where(VALUE > 0, 1.0, 0.0)),
        "one fold": (one_fold, VALUE),
        "nothing known": (unknown, VALUE),
        "six rows": (tiny, np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0])),
    }


@pytest.mark.parametrize("odd", odd_labels())
def test_odd_labels_give_finite_distributions(odd: str) -> None:
    rows, value = odd_labels()[odd]
    trees = XGBoostSpec(most_rounds=20)
    base = TwoPartSpec(trees=trees)
    specs: dict[str, Any] = {
        "ziln": ZilnSpec(most_epochs=3, bags=2),
        "two_part": base,
        "quantiles": QuantileSpec(base=base, trees=trees),
    }
    for name, spec in specs.items():
        model, _ = FITS[name][0](spec, rows, value / value.mean(), CPU)
        spread = model.spread(rows.x)
        assert np.isfinite(spread.quantiles).all()
        assert np.isfinite(model.margin(rows.x)).all()
        assert len(model.spread(rows.x[:0])) == 0
    both, _ = value_trees.fit_value(trees, rows, value / value.mean(), CPU)
    assert np.isfinite(both.margin(rows.x)).all()
    assert both.margin(rows.x[:0]).shape == (0,)


# ZILN


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 0.98), st.floats(-2, 2), st.floats(0.05, 1.2), SEEDS)
def test_mean_and_quantiles_of_a_ziln_are_those_of_its_simulation(
    probability: float, mu: float, sigma: float, seed: int
) -> None:
    random, n = np.random.default_rng(seed), 200_000
    drawn = np.where(random.random(n) < probability, np.exp(random.normal(mu, sigma, n)), 0.0)
    law = Parameters(*(np.array([each]) for each in (probability, mu, sigma)))
    assert law.mean()[0] == pytest.approx(drawn.mean(), abs=6 * drawn.std() / np.sqrt(n))
    for level in (0.05, 0.5, 0.9):
        at = law.quantile(level)[0]
        error = 5 * np.sqrt(level * (1 - level) / n)
        assert np.mean(drawn <= at) >= level - error
        assert np.mean(drawn < at) <= level + error
    assert law.median()[0] == law.quantile(0.5)[0]


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_floors_are_the_same_in_loss_and_prediction(seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = random.normal(size=(50, 3)) * random.choice([1.0, 30.0])
    held = Held(*sorted(random.normal(size=2).tolist()))
    ours = ziln.floored(raw, held)
    theirs = ziln_fit.floored(torch.as_tensor(raw), held)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other.numpy(), rel=1e-12, abs=1e-12)


def test_the_loss_is_the_negative_log_likelihood() -> None:
    from scipy import stats

    raw, held = np.array([[0.4, 0.2, -0.3], [-1.0, 0.8, 0.5]]), Held(-5.0, 5.0)
    logit, mu, sigma = ziln.floored(raw, held)
    y, p = np.array([1.7, 0.0]), 1 / (1 + np.exp(-logit))
    lognormal = stats.lognorm.logpdf(1.7, sigma[0], scale=np.exp(mu[0]))
    known = np.array([-np.log(p[0]) - lognormal, -np.log(1 - p[1])])
    left_out = np.array([np.log(1.7) + 0.5 * np.log(2 * np.pi), 0.0])
    found = ziln_fit.loss(torch.as_tensor(raw), torch.as_tensor(y), held).numpy()
    assert found + left_out == pytest.approx(known)


def test_numpy_asks_the_network_that_torch_fitted() -> None:
    spec = ZilnSpec(epochs=(2,), bags=1)
    model, _ = ziln_fit.fit_value(spec, ROWS, VALUE, CPU)
    linear = []
    for weight, bias in model.networks[0]:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.as_tensor(weight), torch.as_tensor(bias)
        linear += [layer, torch.nn.ReLU()]
    asked = torch.nn.Sequential(*linear[:-1])(torch.as_tensor(model.scaler(LATER.x)))
    p = torch.sigmoid(ziln_fit.floored(asked, model.held)[0]).detach().numpy()
    assert model.parameters(LATER.x).probability == pytest.approx(p, rel=1e-9)


def test_fitting_leaves_the_random_state_of_torch_alone() -> None:
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    ziln_fit.fit_value(ZilnSpec(epochs=(1,)), ROWS, VALUE, CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@given(st.floats(0.001, 0.999), st.floats(-3, 3), st.floats(0.1, 3))
def test_lines_over_normal_scores_are_exact_for_a_normal_law(
    level: float, mean: float, spread: float
) -> None:
    from scipy.stats import norm

    rising = norm.ppf(quantiles.INNER)[None, :] * spread + mean
    found = along(np.array([level]), quantiles.INNER, rising)[0]
    assert found == pytest.approx(norm.ppf(level) * spread + mean)


def _arrays(model: Any) -> tuple[Floats, ...]:
    spread = model.spread(LATER.x)
    return spread.mean, spread.quantiles, model.margin(LATER.x)
