"""Gradient-boosted trees: XGBoost for churn, and for value by Tweedie's deviance."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from runtime.device import Device
from training.metrics import Floats
from training.rows import Matrix, Rows
from training.threads import cores

if TYPE_CHECKING:
    from xgboost import Booster, DMatrix

# Buckets are scored by several threads: a booster may be set by one at a time, and shares out
# the work of a prediction itself.
_ONE_AT_A_TIME = threading.Lock()

Law = Literal["gamma", "log"]


@dataclass(frozen=True)
class Size:
    """How large an ensemble is: depth and number of trees."""

    depth: int
    rounds: int


@dataclass(frozen=True)
class PartSizes:
    """Of value in two parts: P(value > 0), the amount, and the law that the amount is fitted by."""

    buys: Size
    amount: Size
    law: Law


@dataclass(frozen=True)
class XGBoostSpec:
    """`churn`, `value` (by Tweedie's deviance) and `parts` (the same in two parts): sizes; None:
    the one of `depths` (of parts: of `part_depths`) and the number of trees with the least loss on
    users left out. Shallow trees win on small logs, deeper ones on large."""

    churn: Size | None = None
    value: Size | None = None
    parts: PartSizes | None = None
    depths: tuple[int, ...] = (2, 4)
    part_depths: tuple[int, ...] = (2, 4)
    eta: float = 0.05
    min_child_weight: float = 5.0
    subsample: float = 0.8
    columns: float = 0.5
    l2: float = 2.0
    bins: int = 128
    most_rounds: int = 600
    patience: int = 25
    most_folds: int = 5  # of users left out, one after the other
    all_folds_rows: int = 20_000  # with more rows one fold is enough
    bags: int = 4  # ensembles that are averaged; see training.bagged
    seed: int = 0


@dataclass(frozen=True)
class Trees:
    booster: Booster

    SUFFIX: ClassVar[str] = ".ubj"

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of churn or the log of relative value, shape (n,)."""
        return np.asarray(self._predict(x, output_margin=True), dtype=np.float64)

    def contributions(self, x: Matrix) -> Floats:
        """TreeSHAP, Lundberg et al. 2020: (n, features), summing to the margin less its mean."""
        return np.asarray(self._predict(x, pred_contribs=True), dtype=np.float64)[:, :-1]

    def save(self, path: Path) -> None:
        """XGBoost's own UBJSON."""
        self.booster.save_model(path)

    @classmethod
    def load(cls, path: Path) -> Trees:
        import xgboost

        return cls(xgboost.Booster(model_file=path))

    def _predict(self, x: Matrix, **how: bool) -> Any:
        import xgboost

        with _ONE_AT_A_TIME:
            self.booster.set_param({"nthread": cores(x)})
            return self.booster.predict(xgboost.DMatrix(x, nthread=cores(x)), **how)


def fit_churn(spec: XGBoostSpec, rows: Rows, device: Device) -> tuple[Trees, XGBoostSpec]:
    """The model and the spec with the size that was found."""
    rate = float(rows.churn.mean())
    params = {"objective": "binary:logistic", "eval_metric": "logloss", "base_score": rate}
    booster, size = boost(spec, params, rows, rows.churn, spec.churn, device)
    return Trees(booster), replace(spec, churn=size)


def fit_value(
    spec: XGBoostSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Trees, XGBoostSpec]:
    """`relative`: value over its mean, none below 0, shape (n,)."""
    params = {
        "objective": "reg:tweedie",
        "tweedie_variance_power": 1.5,
        "eval_metric": "tweedie-nloglik@1.5",
        "base_score": 1.0,
    }
    booster, size = boost(spec, params, rows, relative, spec.value, device)
    return Trees(booster), replace(spec, value=size)


def boost(
    spec: XGBoostSpec,
    objective: dict[str, Any],
    rows: Rows,
    target: Floats,
    size: Size | None,
    device: Device,
) -> tuple[Booster, Size]:
    """A booster of an objective's parameters, and its size where none was given."""
    import xgboost

    params = {**_params(spec, device), "nthread": cores(rows.x), **objective}
    data = xgboost.DMatrix(rows.x, target, nthread=cores(rows.x))
    size = size or _size(spec, params, data, rows)
    params["max_depth"] = size.depth
    return xgboost.train(params, data, num_boost_round=size.rounds), size


def _size(spec: XGBoostSpec, params: dict[str, Any], data: DMatrix, rows: Rows) -> Size:
    """The depth and the rounds after which the mean loss on users left out is least."""
    import xgboost

    if len(np.unique(rows.fold)) == 1:
        return Size(spec.depths[0], spec.patience)
    folds = folds_of(spec, rows)
    parts = [(np.flatnonzero(rows.fold != f), np.flatnonzero(rows.fold == f)) for f in folds]
    found: list[tuple[float, Size]] = []
    for depth in spec.depths:
        history = xgboost.cv(
            {**params, "max_depth": depth},
            data,
            num_boost_round=spec.most_rounds,
            folds=parts,
            early_stopping_rounds=spec.patience,
            as_pandas=False,
            seed=spec.seed,
        )
        losses = np.asarray(history[f"test-{params['eval_metric']}-mean"])
        found.append((float(losses.min()), Size(depth, int(losses.argmin()) + 1)))
    return min(found, key=lambda one: one[0])[1]


def folds_of(spec: XGBoostSpec, rows: Rows) -> npt.NDArray[np.int64]:
    """The folds of users that are left out, one after the other."""
    most = 1 if len(rows) > spec.all_folds_rows else spec.most_folds
    return np.unique(rows.fold)[:most]


def _params(spec: XGBoostSpec, device: Device) -> dict[str, Any]:
    return {
        "tree_method": "hist",
        "device": "cuda" if device.kind == "gpu" else "cpu",
        "eta": spec.eta,
        "min_child_weight": spec.min_child_weight,
        "subsample": spec.subsample,
        "colsample_bytree": spec.columns,
        "lambda": spec.l2,
        "max_bin": spec.bins,
        "seed": spec.seed,
        "verbosity": 0,
    }
