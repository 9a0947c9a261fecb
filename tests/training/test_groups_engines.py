"""The parameters of k-means and HDBSCAN fit both libraries; a cut is what it says."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
from gpu_python import translated
from hypothesis import given
from hypothesis import strategies as st

from runtime.device import decide
from training.groups_engines import ENGINES, METHODS, Cut, Method, cut, parameters

CPU = decide("cpu")


@pytest.mark.gpu_plans
def test_cuml_takes_what_it_is_given() -> None:
    found = translated("groups_signatures.py")
    assert found["noticed"], "the check does not notice what cuML does not take"
    assert set(found["bound"]) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_scikit_learn_takes_what_it_is_given(method: Method) -> None:
    module, name = ENGINES["cpu"][method]
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    more = {"init": None} if method == "kmeans" else {}
    signature.bind(**parameters(method, 8, "cpu"), **more)


@pytest.mark.parametrize("method", METHODS)
def test_both_libraries_are_given_the_same(method: Method) -> None:
    cpu, gpu = parameters(method, 12, "cpu"), parameters(method, 12, "gpu")
    own = {"copy", "output_type", "min_samples"}
    assert {k: v for k, v in cpu.items() if k not in own} == {
        k: v for k, v in gpu.items() if k not in own
    }
    if method == "hdbscan":
        assert gpu["min_samples"] == cpu["min_samples"] - 1, "cuML does not count the user itself"


@given(seed=st.integers(0, 1000), parts=st.integers(1, 7))
def test_a_user_belongs_to_the_nearest_point(seed: int, parts: int) -> None:
    random = np.random.default_rng(seed)
    z, points = random.normal(size=(40, 5)), random.normal(size=(6, 5))
    found = Cut(points, np.array([1, 2, 3, 3, 0, 4]), 4)
    apart = ((z[:, None] - points[None]) ** 2).sum(2)
    expected = found.group[apart.argmin(1)]
    np.testing.assert_array_equal(found.assign(z), expected)
    cut_up = [found.assign(part) for part in np.array_split(z, parts)]
    np.testing.assert_array_equal(np.concatenate(cut_up), expected)


def test_far_apart_heaps_are_told_apart_by_both_methods() -> None:
    random = np.random.default_rng(0)
    heaps = np.repeat(np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]), 50, axis=0)
    z = heaps + random.normal(size=heaps.shape)
    for method, size in (("kmeans", 3), ("hdbscan", 10)):
        labels = cut(z, method, size, 0, CPU).assign(z)  # type: ignore[arg-type]
        most = [np.bincount(heap, minlength=4) / 50 for heap in np.split(labels, 3)]
        assert len({int(each.argmax()) for each in most}) == 3
        assert min(each.max() for each in most) > 0.9
