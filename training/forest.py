"""Random forests: for churn the mean share of churners in the leaves, for value the mean value.

The forest is grown by scikit-learn or cuML and then kept as an XGBoost model that predicts the
same: see `converted`. So one format stores it, and prediction and TreeSHAP are XGBoost's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from runtime.device import Device
from training import engines
from training.forest_trees import booster_of
from training.linear import Scaler, fit_scaler
from training.metrics import Floats
from training.rows import Matrix, Rows
from training.threads import cores

if TYPE_CHECKING:
    from xgboost import Booster

LEAST_SHARE = 1e-4  # of churners, so that the log-odds of an unanimous forest are finite
LEAST_VALUE = 1e-4  # of the mean value
NEAR = 1e-6  # a row this near to the mean is stretched by the slope of the link there
EXACT_STEPS = 2_000_000  # of TreeSHAP for one row: leaves of all trees times depth squared


@dataclass(frozen=True)
class Shape:
    """Rows a leaf holds at least, and the share of the features that a split may choose among."""

    leaf: int
    columns: float


@dataclass(frozen=True)
class ForestSpec:
    """`churn`, `value`: shapes; None: the one of `leaves` x `columns` with the least loss on users
    left out (out-of-bag rows would not do: another row of the same user is in the bag)."""

    churn: Shape | None = None
    value: Shape | None = None
    leaves: tuple[int, ...] = (5, 20, 60)
    columns: tuple[float, ...] = (0.1, 0.33)
    trees: int = 200
    search_trees: int = 30
    depth: int = 10
    tree_rows: int = 10_000  # of a larger log each tree sees that many, drawn anew
    all_folds_rows: int = 10_000  # with more rows one fold left out is enough
    search_rows: int = 100_000  # with still more the middle leaf and the larger share are taken
    seed: int = 0


@dataclass(frozen=True)
class Forest:
    """`booster` gives the mean of the leaves; its attribute `link` says what the margin is of it:
    "logit" for a share of churners, "log" for a value."""

    booster: Booster

    SUFFIX: ClassVar[str] = ".forest.ubj"

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of churn or the log of relative value, shape (n,)."""
        return self._link(self._mean(x))

    def contributions(self, x: Matrix) -> Floats:
        """(n, features), summing to the margin less a constant.

        TreeSHAP of the leaves' mean (Lundberg et al. 2020), each row then stretched by the one
        factor that carries its sum through the link (the rescale rule: Chen, Lundberg & Lee 2022).
        In a forest too large for that (EXACT_STEPS) the changes of the mean along the path
        (Saabas 2014) stand for TreeSHAP, for every row of the model.
        """
        found = self._predict(x, pred_contribs=True, approx_contribs=not self._exact())
        parts, base = found[:, :-1].astype(np.float64), found[:, -1].astype(np.float64)
        mean = parts.sum(1) + base
        apart, span = mean - base, self._link(mean) - self._link(base)
        near = np.abs(apart) < NEAR
        slope = (self._link(base + NEAR) - self._link(base - NEAR)) / (2 * NEAR)
        factor = np.where(near, slope, span / np.where(near, 1.0, apart))
        return np.asarray(parts * factor[:, None])

    def save(self, path: Path) -> None:
        """XGBoost's own UBJSON."""
        self.booster.save_model(path)

    @classmethod
    def load(cls, path: Path) -> Forest:
        import xgboost

        return cls(xgboost.Booster(model_file=path))

    def _link(self, mean: Floats) -> Floats:
        if self.booster.attr("link") == "log":
            return np.asarray(np.log(np.maximum(mean, LEAST_VALUE)))
        share = np.clip(mean, LEAST_SHARE, 1 - LEAST_SHARE)
        return np.asarray(np.log(share) - np.log1p(-share))

    def _exact(self) -> bool:
        return int(self.booster.attr("steps") or 0) <= EXACT_STEPS

    def _mean(self, x: Matrix) -> Floats:
        return np.asarray(self._predict(x, output_margin=True), dtype=np.float64)

    def _predict(self, x: Matrix, **how: bool) -> Any:
        import xgboost

        # No parameter is set on the booster: several threads may ask one at a time.
        return self.booster.predict(xgboost.DMatrix(x, nthread=cores(x)), **how)


def fit_churn(spec: ForestSpec, rows: Rows, device: Device) -> tuple[Forest, ForestSpec]:
    """The model and the spec with the shape that was found."""
    shape = spec.churn or _shape(spec, rows, rows.churn, "logit", device)
    return _grown(spec, shape, rows.x, rows.churn, "logit", device), replace(spec, churn=shape)


def fit_value(
    spec: ForestSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Forest, ForestSpec]:
    """`relative`: value over its mean, none below 0, shape (n,)."""
    shape = spec.value or _shape(spec, rows, relative, "log", device)
    return _grown(spec, shape, rows.x, relative, "log", device), replace(spec, value=shape)


def _shape(spec: ForestSpec, rows: Rows, y: Floats, link: str, device: Device) -> Shape:
    shapes = [Shape(leaf, columns) for leaf in spec.leaves for columns in spec.columns]
    folds = np.unique(rows.fold)
    if len(rows) > spec.search_rows or len(folds) == 1:
        return Shape(spec.leaves[len(spec.leaves) // 2], spec.columns[-1])
    few = replace(spec, trees=spec.search_trees)
    losses = dict.fromkeys(shapes, 0.0)
    for fold in folds if len(rows) <= spec.all_folds_rows else folds[:1]:
        out = rows.fold == fold
        if y[~out].min() == y[~out].max():
            continue
        for shape in shapes:
            model = _grown(few, shape, rows.x[~out], y[~out], link, device)
            losses[shape] += _loss(model.margin(rows.x[out]), y[out], link)
    return min(shapes, key=lambda shape: losses[shape])


def _loss(margin: Floats, y: Floats, link: str) -> float:
    """Log loss of churn; half the Poisson deviance of value less what no model changes."""
    if link == "log":
        return float((np.exp(margin) - y * margin).sum())
    return float((np.logaddexp(0.0, margin) - y * margin).sum())


def _grown(
    spec: ForestSpec, shape: Shape, x: Matrix, y: Floats, link: str, device: Device
) -> Forest:
    scaler = fit_scaler(x)
    forest = engines.make(
        "forest" if link == "logit" else "regression_forest",
        device,
        n_estimators=spec.trees,
        criterion="gini" if link == "logit" else "poisson",
        max_depth=spec.depth,
        min_samples_leaf=shape.leaf,
        max_features=shape.columns,
        max_samples=min(1.0, spec.tree_rows / len(x)),
        bootstrap=True,
        random_state=spec.seed,
    )
    if device.kind == "cpu":
        forest.set_params(n_jobs=cores(x))
    target = y.astype(np.int32) if link == "logit" else y.astype(np.float32)
    forest.fit(imputed(scaler, x), target)
    trees = [one.tree_ for one in (forest if device.kind == "cpu" else forest.as_sklearn())]
    booster = booster_of(trees, scaler, x.shape[1])
    booster.set_attr(link=link)
    return Forest(booster)


def imputed(scaler: Scaler, x: Matrix) -> Matrix:
    """Medians where x is missing, and a flag 0 or 1 for each flagged column: no NaN is left."""
    missing = np.isnan(x)
    filled = np.where(missing, np.array(scaler.median, dtype=np.float32), x)
    return np.hstack([filled, missing[:, list(scaler.flagged)].astype(np.float32)])
