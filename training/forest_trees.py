"""scikit-learn's trees as an XGBoost model that predicts the same, missing values included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.linear import Scaler

if TYPE_CHECKING:
    from xgboost import Booster

NO_PARENT = 2**31 - 1
EVERYTHING = np.float32(3.4e38)  # above every number that `rows.matrix` lets in
TINY = np.finfo(np.float32).tiny


def booster_of(trees: Sequence[Any], scaler: Scaler, features: int) -> Booster:
    """The mean over `trees` (scikit-learn's `tree_`) as a booster on the features as they come.

    The trees were grown on medians for missing values and flags beside them. A missing value
    goes where its median would go; a split on a flag becomes one on its feature that every number
    passes and a missing value does not. Attribute `steps`: the work of TreeSHAP for one row.
    """
    import xgboost

    raw = _empty(features)
    model = raw["learner"]["gradient_booster"]["model"]
    model["trees"] = [_tree(t, i, len(trees), scaler, features) for i, t in enumerate(trees)]
    model["tree_info"] = [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(raw).encode()))
    steps = sum(int(t.n_leaves) * int(t.max_depth) ** 2 for t in trees)
    booster.set_attr(steps=str(steps))
    return booster


def _empty(features: int) -> Any:
    """The model of one tree that XGBoost writes, as a mould: sum of leaves, nothing added."""
    import xgboost

    nothing = np.zeros((2, features), np.float32)
    data = xgboost.DMatrix(nothing, np.zeros(2), nthread=1)
    params = {"objective": "reg:squarederror", "base_score": 0.0, "verbosity": 0, "nthread": 1}
    return json.loads(xgboost.train(params, data, num_boost_round=1).save_raw("json"))


def _tree(tree: Any, number: int, trees: int, scaler: Scaler, features: int) -> dict[str, Any]:
    order, left = _siblings_together(tree)
    leaf, nodes = left < 0, len(left)
    values = _values(tree)[order] / trees
    at, condition, default_left = (each[order] for each in _splits(tree, scaler, features))
    inner = np.flatnonzero(~leaf)
    parents = np.full(nodes, NO_PARENT)
    parents[left[inner]] = parents[left[inner] + 1] = inner
    return {
        "base_weights": values.tolist(),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": default_left.astype(int).tolist(),
        "id": number,
        "left_children": left.tolist(),
        "loss_changes": [0.0] * nodes,
        "parents": parents.tolist(),
        "right_children": np.where(leaf, -1, left + 1).tolist(),
        "split_conditions": np.where(leaf, values, condition).tolist(),
        "split_indices": at.tolist(),
        "split_type": [0] * nodes,
        "sum_hessian": _cover(tree)[order].tolist(),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(features),
            "num_nodes": str(nodes),
            "size_leaf_vector": "1",
        },
    }


def _siblings_together(tree: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The nodes level by level, and the new number of each one's left child, -1 for leaves.

    XGBoost takes for granted that the right child comes just after the left.
    """
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    level, levels, lefts, known = np.zeros(1, np.int64), [], [], 1
    while len(level):
        inner = left[level] >= 0
        lefts.append(np.where(inner, known + 2 * (np.cumsum(inner) - 1), -1))
        levels.append(level)
        known += 2 * int(inner.sum())
        level = np.column_stack([left[level[inner]], right[level[inner]]]).ravel()
    return np.concatenate(levels), np.concatenate(lefts)


def _values(tree: Any) -> npt.NDArray[np.float64]:
    """The share of class 1, or the mean, of each node; only the leaves' are relied on."""
    values = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
    if values.shape[1] == 1:
        return np.asarray(values[:, 0])
    total = values.sum(1)
    return np.asarray(values[:, 1] / np.where(total > 0, total, 1.0))


def _cover(tree: Any) -> npt.NDArray[np.float64]:
    """Rows in each node; a tree that came from cuML counts them without weights."""
    weighted = np.asarray(tree.weighted_n_node_samples, dtype=np.float64)
    plain = np.asarray(tree.n_node_samples, dtype=np.float64)
    return np.asarray(np.where(np.isfinite(weighted), weighted, plain))


def _splits(tree: Any, scaler: Scaler, features: int) -> tuple[npt.NDArray[Any], ...]:
    """Feature, condition `x < c` that leads left, and whether a missing value goes left."""
    leaf = np.asarray(tree.children_left) < 0
    asked = np.where(leaf, 0, np.asarray(tree.feature))
    threshold = np.asarray(tree.threshold, dtype=np.float64)
    flag = asked >= features
    own = np.r_[np.arange(features), np.array(scaler.flagged, dtype=np.int64)]
    median = np.r_[np.array(scaler.median, np.float32), np.ones(len(scaler.flagged), np.float32)]
    default_left = median[asked].astype(np.float64) <= threshold
    number_left = np.where(threshold >= 0, EVERYTHING, -EVERYTHING)
    return own[asked], np.where(flag, number_left, below(threshold)), default_left & ~leaf


def below(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """c such that x < c where x <= threshold, for 0 and every normal number x of 32 bits.

    c is 0 or normal itself: text and fast arithmetic may lose smaller ones.
    """
    near = threshold.astype(np.float32)
    far = np.nextafter(near, np.float32(-np.inf))
    at_most = np.where(near.astype(np.float64) > threshold, far, near)
    found = np.nextafter(at_most, np.float32(np.inf))
    normal = np.where(found > 0, TINY, np.float32(0))
    return np.where(np.abs(found) < TINY, normal, found).astype(np.float64)
