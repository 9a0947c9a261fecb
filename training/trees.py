"""Gradient-boosted trees: XGBoost for churn and for value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from runtime.device import Device
from training.metrics import Floats
from training.rows import Matrix, Rows
from training.threads import cores, xgboost

if TYPE_CHECKING:
    from xgboost import Booster, DMatrix


@dataclass(frozen=True)
class XGBoostSpec:
    """`*_rounds`: number of trees; None: where the loss on users left out stops falling."""

    churn_rounds: int | None = None
    value_rounds: int | None = None
    depth: int = 4
    eta: float = 0.05
    min_child_weight: float = 5.0
    subsample: float = 0.8
    columns: float = 0.6
    l2: float = 2.0
    bins: int = 128
    most_rounds: int = 600
    patience: int = 25
    all_folds_rows: int = 20_000  # with more rows one fold left out is enough
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
        return cls(xgboost().Booster(model_file=path))

    def _predict(self, x: Matrix, **how: bool) -> Any:
        self.booster.set_param({"nthread": cores(x)})
        return self.booster.predict(xgboost().DMatrix(x, nthread=cores(x)), **how)


def fit_churn(spec: XGBoostSpec, rows: Rows, device: Device) -> tuple[Trees, XGBoostSpec]:
    """The model and the spec with the number of rounds that was found."""
    rate = float(rows.churn.mean())
    params = {"objective": "binary:logistic", "eval_metric": "logloss", "base_score": rate}
    booster, rounds = _boost(spec, params, rows, rows.churn, spec.churn_rounds, device)
    return Trees(booster), replace(spec, churn_rounds=rounds)


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
    booster, rounds = _boost(spec, params, rows, relative, spec.value_rounds, device)
    return Trees(booster), replace(spec, value_rounds=rounds)


def _boost(
    spec: XGBoostSpec,
    objective: dict[str, Any],
    rows: Rows,
    target: Floats,
    rounds: int | None,
    device: Device,
) -> tuple[Booster, int]:
    params = {**_params(spec, device), "nthread": cores(rows.x), **objective}
    data = xgboost().DMatrix(rows.x, target, nthread=cores(rows.x))
    rounds = rounds or _rounds(spec, params, data, rows)
    return xgboost().train(params, data, num_boost_round=rounds), rounds


def _rounds(spec: XGBoostSpec, params: dict[str, Any], data: DMatrix, rows: Rows) -> int:
    """Rounds after which the mean loss on users left out is least."""
    folds = np.unique(rows.fold)
    if len(folds) == 1:
        return spec.patience
    if len(rows) > spec.all_folds_rows:
        folds = folds[:1]
    parts = [(np.flatnonzero(rows.fold != f), np.flatnonzero(rows.fold == f)) for f in folds]
    history = xgboost().cv(
        params,
        data,
        num_boost_round=spec.most_rounds,
        folds=parts,
        early_stopping_rounds=spec.patience,
        as_pandas=False,
        seed=spec.seed,
    )
    losses = history[f"test-{params['eval_metric']}-mean"]
    return int(np.argmin(losses)) + 1


def _params(spec: XGBoostSpec, device: Device) -> dict[str, Any]:
    return {
        "tree_method": "hist",
        "device": "cuda" if device.kind == "gpu" else "cpu",
        "max_depth": spec.depth,
        "eta": spec.eta,
        "min_child_weight": spec.min_child_weight,
        "subsample": spec.subsample,
        "colsample_bytree": spec.columns,
        "lambda": spec.l2,
        "max_bin": spec.bins,
        "seed": spec.seed,
        "verbosity": 0,
    }
