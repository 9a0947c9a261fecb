"""Value in two parts by XGBoost: P(value > 0), and the amount of those who spend.

The amount is a gamma regression or a squared error of its log, whichever makes the better mean on
users left out. How far amounts lie from what is expected is learnt from users left out too: the
residuals of the fit rows themselves would be too small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime.device import Device
from training import held_arrays
from training.metrics import Floats
from training.rows import Matrix, Rows
from training.spread import LEVELS, Spread, of_quantiles, with_zeros
from training.trees import Law, PartSizes, Size, Trees, XGBoostSpec, boost, folds_of

RATIOS = 200
LEAST_SHARE = 1e-6
MOST_LOG = 30.0


@dataclass(frozen=True)
class TwoPartSpec:
    """`sizes`: None: chosen on folds."""

    sizes: PartSizes | None = None
    trees: XGBoostSpec = field(default_factory=XGBoostSpec)


@dataclass(frozen=True)
class TwoPart:
    """`amount` gives the log of the expected (gamma) or of the typical (log) amount.

    `log_ratios`: logs of real over predicted amounts of users left out, at evenly spaced levels.
    `factor`: the sum of values of users left out over that of p times amount: Duan's smearing
    (1983) in the form that makes sums right.
    """

    buys: Trees
    amount: Trees
    log_ratios: Floats
    factor: float

    SUFFIX: ClassVar[str] = ".two_part.npz"

    def probability(self, x: Matrix) -> Floats:
        """P(value > 0), shape (n,)."""
        return np.asarray(1 / (1 + np.exp(-self.buys.margin(x))))

    def mean(self, x: Matrix) -> Floats:
        """Expected relative value, shape (n,)."""
        log = np.clip(self.amount.margin(x), -MOST_LOG, MOST_LOG)
        return np.asarray(self.factor * self.probability(x) * np.exp(log))

    def spread(self, x: Matrix, levels: tuple[float, ...] = LEVELS) -> Spread:
        """In units of relative value. What was below 0 counts as 0: no quantile is below 0."""
        probability, log = self.probability(x), self.amount.margin(x)
        at = (np.arange(len(self.log_ratios)) + 0.5) / len(self.log_ratios)

        def quantile(level: float) -> Floats:
            return with_zeros(
                probability, level, lambda inner: log + np.interp(inner, at, self.log_ratios)
            )

        return of_quantiles(self.mean(x), levels, quantile)

    def margin(self, x: Matrix) -> Floats:
        """The log of the expected relative value, shape (n,)."""
        return np.asarray(np.log(self.mean(x)))

    def save(self, path: Path) -> None:
        held_arrays.write(path, "two_part", {"factor": self.factor}, self.arrays())

    def arrays(self) -> held_arrays.Arrays:
        return {
            "buys": held_arrays.of_booster(self.buys.booster),
            "amount": held_arrays.of_booster(self.amount.booster),
            "log_ratios": self.log_ratios,
        }

    @classmethod
    def load(cls, path: Path) -> TwoPart:
        """Raises ModelError where the file is not one that `save` wrote."""
        return cls.of_arrays(*held_arrays.read(path, "two_part"))

    @classmethod
    def of_arrays(cls, header: dict[str, Any], arrays: held_arrays.Arrays) -> TwoPart:
        return cls(
            buys=Trees(held_arrays.booster_of(arrays["buys"])),
            amount=Trees(held_arrays.booster_of(arrays["amount"])),
            log_ratios=arrays["log_ratios"],
            factor=header["factor"],
        )


@dataclass(frozen=True)
class TriedOut:
    """What users said whom a model of the same settings had not seen, one fold after the other.

    outs        masks, shape (n,), of the rows that were left out; none: nobody could be
    expected    of them, shape (m,); of all rows where nobody could be left out
    value       what they were worth, shape (m,)
    """

    outs: tuple[Any, ...]
    expected: Floats
    value: Floats


def fit_value(
    spec: TwoPartSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[TwoPart, TwoPartSpec]:
    """The model and the spec with the sizes and the law that were found.

    `relative`: value over its mean, shape (n,), some above 0. What is not above 0 counts as 0.
    """
    return fit_tried_out(spec, rows, relative, device)[:2]


def fit_tried_out(
    spec: TwoPartSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[TwoPart, TwoPartSpec, TriedOut]:
    """As `fit_value`, and what it expects of users whom it has not seen."""
    value = np.maximum(relative, 0.0)
    folds = _folds(spec.trees, rows, value)
    known = spec.sizes
    buys, size = _buys(spec.trees, rows, value, known.buys if known else None, device)
    margins = folds.margins(lambda seen, v: _buys(spec.trees, seen, v, size, device)[0])
    probability = np.asarray(1 / (1 + np.exp(-margins)))
    laws: tuple[Law, ...] = (known.law,) if known else ("gamma", "log")
    tried = [_amount(spec, folds, probability, law, device) for law in laws]
    best = min(tried, key=lambda one: one.loss)
    model = TwoPart(buys, best.trees, best.log_ratios, best.factor)
    settled = replace(spec, sizes=PartSizes(size, best.size, best.law))
    return model, settled, TriedOut(folds.outs, best.expected, folds.values())


@dataclass(frozen=True)
class _Folds:
    """`outs`: masks (n,) of the rows to leave out, one after the other; none: nobody can be."""

    rows: Rows
    value: Floats
    outs: tuple[Any, ...]

    def margins(self, fit: Callable[[Rows, Floats], Trees]) -> Floats:
        """Of users whom the model has not seen, one fold after the other, shape (m,)."""
        if not self.outs:
            return fit(self.rows, self.value).margin(self.rows.x)
        seen = [(self.rows.where(~out), self.value[~out], out) for out in self.outs]
        return np.concatenate([fit(r, v).margin(self.rows.x[out]) for r, v, out in seen])

    def values(self) -> Floats:
        """In the same order, shape (m,)."""
        return np.concatenate([self.value[out] for out in self.outs]) if self.outs else self.value


def _folds(spec: XGBoostSpec, rows: Rows, value: Floats) -> _Folds:
    outs = [rows.fold == fold for fold in folds_of(spec, rows)]
    return _Folds(rows, value, tuple(out for out in outs if (value[~out] > 0).any()))


@dataclass(frozen=True)
class _Amount:
    """One law, fitted on all rows, and what users left out say of it."""

    law: Law
    trees: Trees
    size: Size
    log_ratios: Floats
    factor: float
    expected: Floats
    loss: float


def _amount(
    spec: TwoPartSpec, folds: _Folds, probability: Floats, law: Law, device: Device
) -> _Amount:
    """`probability`: P(value > 0) of the users left out, (m,)."""
    size = spec.sizes.amount if spec.sizes else None
    trees, size = _amounts(spec.trees, folds.rows, folds.value, law, size, device)
    log = folds.margins(lambda seen, v: _amounts(spec.trees, seen, v, law, size, device)[0])
    real = folds.values()
    bought = real > 0
    ratios = np.log(real[bought]) - log[bought] if bought.any() else np.zeros(1)
    count = min(RATIOS, len(ratios))
    plain = probability * np.exp(np.clip(log, -MOST_LOG, MOST_LOG))
    factor = float(real.sum() / plain.sum()) if bought.any() else 1.0
    expected = factor * plain
    return _Amount(
        law=law,
        trees=trees,
        size=size,
        log_ratios=np.quantile(ratios, (np.arange(count) + 0.5) / count),
        factor=factor,
        expected=expected,
        loss=_tweedie_loss(expected, real),
    )


def _buys(
    spec: XGBoostSpec, rows: Rows, value: Floats, size: Size | None, device: Device
) -> tuple[Trees, Size]:
    bought = (value > 0).astype(np.float64)
    rate = float(np.clip(bought.mean(), LEAST_SHARE, 1 - LEAST_SHARE))
    params = {"objective": "binary:logistic", "eval_metric": "logloss", "base_score": rate}
    booster, size = boost(spec, params, rows, bought, size, device)
    return Trees(booster), size


def _amounts(
    spec: XGBoostSpec, rows: Rows, value: Floats, law: Law, size: Size | None, device: Device
) -> tuple[Trees, Size]:
    bought = value > 0
    spent = value[bought]
    if law == "gamma":
        params = {"objective": "reg:gamma", "eval_metric": "gamma-nloglik"}
        target = spent
    else:
        params = {"objective": "reg:squarederror", "eval_metric": "rmse"}
        target = np.log(spent)
    start = {"base_score": float(target.mean())}
    booster, size = boost(spec, params | start, rows.where(bought), target, size, device)
    return Trees(booster), size


def _tweedie_loss(expected: Floats, value: Floats) -> float:
    """Half the unit deviance at power 1.5 less what does not depend on what is expected."""
    root = np.sqrt(np.maximum(expected, 1e-9))
    return float(np.mean(2 * root + 2 * value / root))
