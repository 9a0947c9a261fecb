"""Several estimators as one: log-odds added up for churn, expected values for value.

The weights are none below 0, and learned on a slice that no part was fitted on: stacking, Wolpert
1992; with weights none below 0, Breiman 1996.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from runtime.files import write_json
from training.calibration import FAR, sigmoid
from training.column import Column, without
from training.metrics import Floats
from training.rows import Matrix
from training.validation import LEAST, POWER, tweedie

Target = Literal["churn", "value"]
PRIOR_SPREAD = 0.5  # of a weight about that of the plain average: counts where rows are few
MOST_LOG = 20.0


class Part(Protocol):
    SUFFIX: ClassVar[str]

    def margin(self, x: Matrix) -> Floats: ...

    def contributions(self, x: Matrix) -> Floats: ...

    def save(self, path: Path) -> None: ...


@dataclass(frozen=True)
class Blend:
    """`parts` by kind, in the order of `weights`. `beside`: whether rows have the columns of a
    sequence model beside the features."""

    of: Target
    kinds: tuple[str, ...]
    parts: tuple[Any, ...]
    weights: tuple[float, ...]
    beside: bool = False

    SUFFIX: ClassVar[str] = ".blend.json"

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of churn or the log of relative value, shape (n,)."""
        narrow = without(x) if self.beside else x
        seen = [x if isinstance(part, Column) else narrow for part in self.parts]
        margins = [part.margin(rows) for part, rows in zip(self.parts, seen, strict=True)]
        return joined(self.of, margins, self.weights)

    def contributions(self, x: Matrix) -> Floats:
        """Those of the parts by weight, shape (n, features), of rows of features alone: log-odds
        add up, so what each feature adds to them does."""
        each = zip(self.weights, self.parts, strict=True)
        return np.asarray(sum(weight * part.contributions(x) for weight, part in each))

    def save(self, path: Path) -> None:
        """The parts beside `path`, then what names them in it."""
        names = [f"{path.name.removesuffix(self.SUFFIX)}-{kind}" for kind in self.kinds]
        for name, part in zip(names, self.parts, strict=True):
            part.save(path.with_name(f"{name}{part.SUFFIX}"))
        said = {"of": self.of, "kinds": self.kinds, "names": names, "weights": self.weights}
        write_json(path, {**said, "beside": self.beside})

    @classmethod
    def load(cls, path: Path, part: Callable[[str], Part]) -> Blend:
        """`part` loads the estimator of a name from the folder of `path`."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        parts = tuple(part(name) for name in raw["names"])
        return cls(raw["of"], tuple(raw["kinds"]), parts, tuple(raw["weights"]), raw["beside"])

    def __str__(self) -> str:
        each = zip(self.weights, self.kinds, strict=True)
        return " + ".join(f"{weight:.2f} {kind}" for weight, kind in each)


def joined(of: Target, margins: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """One margin, shape (n,), of several, each of shape (n,)."""
    if of == "churn":
        return np.asarray(np.dot(np.asarray(weights), np.stack(margins)))
    means = np.exp(np.clip(np.stack(margins), -MOST_LOG, MOST_LOG))
    return np.asarray(np.log(np.maximum(np.dot(np.asarray(weights), means), LEAST)))


def average(count: int) -> tuple[float, ...]:
    return (1.0 / count,) * count


def fit_weights(of: Target, margins: Sequence[Floats], target: Floats) -> tuple[float, ...]:
    """Weights with the least log loss (beside an intercept) or, adding up to 1, the least Tweedie
    deviance (beside a factor), on rows that no part has seen.

    margins    of each part, shape (n,)
    target     churn, 0 or 1, or value over its mean, shape (n,)

    Without rows, those of the plain average.
    """
    if not len(target):
        return average(len(margins))
    held = np.clip(np.stack(margins), -MOST_LOG, MOST_LOG)
    return _churn_weights(held, target) if of == "churn" else _value_weights(held, target)


def _churn_weights(margins: Floats, churn: Floats) -> tuple[float, ...]:
    from scipy.optimize import minimize

    equal = np.array(average(len(margins)))

    def loss(at: Floats) -> tuple[float, Floats]:
        z = at[:-1] @ margins + at[-1]
        away = at[:-1] - equal
        prior = (away**2).sum() / (2 * PRIOR_SPREAD**2)
        cost = (np.logaddexp(0.0, z) - churn * z).sum() + prior
        off = sigmoid(np.clip(z, -FAR, FAR)) - churn
        slope = np.r_[margins @ off + away / PRIOR_SPREAD**2, off.sum()]
        return float(cost / len(churn)), slope / len(churn)

    bounds = [(0.0, None)] * len(equal) + [(None, None)]
    found = minimize(loss, np.r_[equal, 0.0], jac=True, bounds=bounds, method="L-BFGS-B")
    weights = found.x[:-1]
    return tuple(weights.tolist()) if weights.sum() > LEAST else tuple(equal.tolist())


def _value_weights(logs: Floats, value: Floats) -> tuple[float, ...]:
    from scipy.optimize import minimize
    from scipy.special import softmax

    means = np.exp(logs)

    def loss(at: Floats) -> tuple[float, Floats]:
        weights = softmax(at[:-1])
        blended = np.maximum(weights @ means, LEAST)
        mean = np.exp(np.clip(at[-1], -MOST_LOG, MOST_LOG)) * blended
        # Of Tweedie's deviance: d/d log mean.
        off = mean ** (2 - POWER) - value * mean ** (1 - POWER)
        share = weights[:, None] * means / blended - weights[:, None]  # d log mean / d at
        prior = (at[:-1] ** 2).sum() / 2
        cost = tweedie(mean, value).sum() + prior
        slope = np.r_[share @ off + at[:-1], off.sum()]
        return float(cost / len(value)), slope / len(value)

    start = np.zeros(len(logs) + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B")
    return tuple(softmax(found.x[:-1]).tolist())
