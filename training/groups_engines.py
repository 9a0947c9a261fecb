"""k-means and HDBSCAN: scikit-learn on the CPU, cuML on the GPU, one table of parameters.

Starts of k-means are drawn here, so both engines begin at the same centres and end at the same.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from runtime.device import Device
from training.metrics import Floats

Whole = npt.NDArray[np.int64]
Method = Literal["kmeans", "hdbscan"]
METHODS: tuple[Method, ...] = ("kmeans", "hdbscan")
STARTS = 5

# Where the estimators lie.
ENGINES: Mapping[str, Mapping[Method, tuple[str, str]]] = {
    "cpu": {"kmeans": ("sklearn.cluster", "KMeans"), "hdbscan": ("sklearn.cluster", "HDBSCAN")},
    "gpu": {"kmeans": ("cuml.cluster", "KMeans"), "hdbscan": ("cuml.cluster", "HDBSCAN")},
}


@dataclass(frozen=True)
class Cut:
    """Points that stand for groups: a user belongs to the group of the nearest.

    k-means has one point a group, its centre. HDBSCAN knows no centres: its points are users of
    the fit sample, `group` 0 the noise among them.
    """

    points: Floats  # (m, axes)
    group: Whole  # (m,), from 1 up; 0 is no group
    groups: int

    def assign(self, z: Floats) -> Whole:
        """The group of each, shape (n,); of points equally near the first."""
        if self.groups <= 1 and not (self.group == 0).any():
            return np.full(len(z), 1, dtype=np.int64)
        found = np.empty(len(z), dtype=np.int64)
        step = max(1, 4_000_000 // len(self.points))  # numbers in memory at a time
        for start in range(0, len(z), step):
            part = z[start : start + step]
            apart = (self.points**2).sum(1) - 2 * part @ self.points.T
            # Rounded: how rows are cut into parts changes the last digit, and no group.
            found[start : start + step] = self.group[np.round(apart, 9).argmin(1)]
        return found


ONE = Cut(np.zeros((1, 0)), np.ones(1, dtype=np.int64), 1)


def parameters(method: Method, size: int, kind: str) -> dict[str, Any]:
    """What the library of a device's `kind` is given. `size`: the number of groups of k-means,
    the fewest users of a group of HDBSCAN."""
    own: dict[str, Any] = {"output_type": "numpy"} if kind == "gpu" else {}
    if method == "kmeans":
        same = {"n_clusters": size, "n_init": 1, "max_iter": 300, "tol": 1e-4, "random_state": 0}
        return same | own
    # scikit-learn counts the user itself among its neighbours, cuML does not.
    neighbours = max(2, size // 4)
    own |= {"min_samples": neighbours - 1} if kind == "gpu" else {"copy": True}
    return {
        "min_cluster_size": size,
        "min_samples": neighbours,
        "metric": "euclidean",
        "cluster_selection_method": "eom",
        "allow_single_cluster": False,
    } | own


@contextmanager
def one_thread() -> Iterator[None]:
    """Several threads add up in the order in which they finish, which changes the last digit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def cut(
    z: Floats, method: Method, size: int, seed: int, device: Device, starts: int = STARTS
) -> Cut:
    """Groups of the rows of `z`, shape (n, axes); with `one_thread`, the same for the same rows
    in the same order."""
    if method == "hdbscan":
        return _hdbscan(z, size, device)
    found = [_kmeans(z, size, seed * STARTS + start, device) for start in range(starts)]
    _, points = min(found, key=lambda one: one[0])
    return Cut(points, np.arange(1, len(points) + 1), len(points))


def _estimator(method: Method, size: int, device: Device, **more: Any) -> Any:
    module, name = ENGINES[device.kind][method]
    given = parameters(method, size, device.kind) | more
    return getattr(importlib.import_module(module), name)(**given)


def _kmeans(z: Floats, size: int, seed: int, device: Device) -> tuple[float, Floats]:
    """Inertia, rounded so that equal ends of different starts are equal, and the centres."""
    from sklearn.cluster import kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning

    start, _ = kmeans_plusplus(z, size, random_state=seed)
    with warnings.catch_warnings():
        # Half of the users may behave in fewer ways: then a group is not found again, no more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _estimator("kmeans", size, device, init=start).fit(z)
    centres = np.asarray(model.cluster_centers_, dtype=np.float64)
    return round(float(model.inertia_) / len(z), 9), centres


def _hdbscan(z: Floats, size: int, device: Device) -> Cut:
    labels = np.asarray(_estimator("hdbscan", size, device).fit(z).labels_, dtype=np.int64)
    group = labels + 1  # -1 is noise
    return Cut(z.copy(), group, int(group.max()) if len(group) else 0)
