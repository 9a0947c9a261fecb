"""Linear models: logistic regression for churn, a Tweedie regression for value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from runtime.device import Device
from runtime.files import write_json
from training import engines
from training.calibration import FAR
from training.metrics import Floats
from training.rows import Matrix, Rows

ON_CPU = Device("cpu", "not asked")
MOST_SPREADS = 8.0
PART_ROWS = 1024
TWEEDIE_POWER = 1.5


@dataclass(frozen=True)
class LogisticSpec:
    """`*_strength`: weight of the L2 penalty against the mean loss; None: chosen on folds."""

    churn_strength: float | None = None
    value_strength: float | None = None
    strengths: tuple[float, ...] = (3e-1, 3e-2, 3e-3, 3e-4)
    search_rows: int = 20_000  # with more rows the weakest penalty is taken without a search


@dataclass(frozen=True)
class Scaler:
    """Missing to the median, sign(x) log(1 + |x|), then mean 0 and spread 1, as on the fit rows.

    `flagged`: columns that had missing values, no two of the same rows; each gets a second
    column that says so.
    """

    median: tuple[float, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    flagged: tuple[int, ...]

    def __call__(self, x: Matrix) -> Floats:
        """Shape (n, features + flagged)."""
        z = _bent(x, self.median, self.flagged)
        _centre(z, np.array(self.mean), np.array(self.spread))
        return z


def fit_scaler(x: Matrix) -> Scaler:
    return fit_scaled(x)[0]


def fit_scaled(x: Matrix) -> tuple[Scaler, Floats]:
    """The scaler of these rows, and what it makes of them."""
    median = tuple(middle(column) or 0.0 for column in x.T)
    flagged = tuple(_different(np.isnan(x)))
    z = _bent(x, median, flagged)
    mean = z.mean(0)
    squares = sum(np.square(z[part] - mean).sum(0) for part in _parts(z))
    spread = np.sqrt(squares / len(z))
    # A column without spread says nothing; dividing by infinity makes it nothing.
    spread = np.where(spread > 1e-9 * (1 + np.abs(mean)), spread, 1e300)
    _centre(z, mean, spread)
    return Scaler(median, tuple(mean.tolist()), tuple(spread.tolist()), flagged), z


def _parts(z: Floats) -> list[slice]:
    """Rows that stay in the processor's cache from one step to the next."""
    return [slice(begin, begin + PART_ROWS) for begin in range(0, len(z), PART_ROWS)]


def _bent(x: Matrix, median: Sequence[float], flagged: Sequence[int]) -> Floats:
    """Without what is missing, and by its logarithm; then the flags."""
    features, middles = x.shape[1], np.array(median)
    z = np.empty((len(x), features + len(flagged)))
    for part in _parts(z):
        values, missing = z[part, :features], np.isnan(x[part])
        values[:] = x[part]
        np.copyto(values, middles, where=missing)
        np.copysign(np.log1p(np.abs(values)), values, out=values)
        z[part, features:] = missing[:, list(flagged)]
    return z


def _centre(z: Floats, mean: Floats, spread: Floats) -> None:
    for part in _parts(z):
        z[part] -= mean
        z[part] /= spread
        np.clip(z[part], -MOST_SPREADS, MOST_SPREADS, out=z[part])


def _different(missing: npt.NDArray[np.bool_]) -> list[int]:
    """The columns that are missing for some rows, one for each set of rows: most features of a
    family are missing together, and a flag told twice says nothing more."""
    first: dict[bytes, int] = {}
    for index, column in enumerate(missing.T):
        if column.any() and not column.all():
            first.setdefault(np.packbits(column).tobytes(), index)
    return list(first.values())


def middle(column: Matrix) -> float | None:
    """The median of what is known of a column, shape (n,)."""
    known = column[~np.isnan(column)].astype(np.float64)
    return float(np.median(known)) if len(known) else None


@dataclass(frozen=True)
class Linear:
    """intercept + coef . scaled features, held within `low` and `high`."""

    scaler: Scaler
    coef: tuple[float, ...]
    intercept: float
    low: float
    high: float

    SUFFIX: ClassVar[str] = ".json"

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of churn or the log of relative value, shape (n,)."""
        margin = self.intercept + self.scaler(x) @ np.array(self.coef)
        return np.asarray(np.clip(margin, self.low, self.high))

    def contributions(self, x: Matrix) -> Floats:
        """Coefficient times distance from the fit's mean, shape (n, features); flags are added to
        their feature."""
        parts = self.scaler(x) * np.array(self.coef)
        features = x.shape[1]
        own = parts[:, :features].copy()
        own[:, list(self.scaler.flagged)] += parts[:, features:]
        return np.asarray(own)

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Linear:
        raw = json.loads(path.read_text(encoding="utf-8"))
        scaler = Scaler(**{name: tuple(values) for name, values in raw["scaler"].items()})
        return cls(scaler, tuple(raw["coef"]), raw["intercept"], raw["low"], raw["high"])


def fit_churn(
    spec: LogisticSpec, rows: Rows, device: Device = ON_CPU
) -> tuple[Linear, LogisticSpec]:
    """The model and the spec with the strength that was chosen."""
    scaler, z = fit_scaled(rows.x)
    fit = partial(_logistic, device=device)
    strength = spec.churn_strength or _choose(spec, z, rows.churn, rows, fit, _log_loss)
    coef, intercept = fit(z, rows.churn, strength)
    model = Linear(scaler, tuple(coef.tolist()), intercept, -FAR, FAR)
    return model, replace(spec, churn_strength=strength)


def fit_value(spec: LogisticSpec, rows: Rows, relative: Floats) -> tuple[Linear, LogisticSpec]:
    """`relative`: value over its mean, none below 0, shape (n,)."""
    scaler, z = fit_scaled(rows.x)
    strength = spec.value_strength or _choose(spec, z, relative, rows, _tweedie, _tweedie_loss)
    coef, intercept = _tweedie(z, relative, strength)
    # Not beyond what the fit met: the exponential of a far margin is a fortune.
    low, high = (float(end) for end in np.quantile(z @ coef + intercept, (0.0, 1.0)))
    model = Linear(scaler, tuple(coef.tolist()), intercept, low, high)
    return model, replace(spec, value_strength=strength)


def flat(features: int) -> Linear:
    """A model that tells no one from another."""
    nothing = Scaler((0.0,) * features, (0.0,) * features, (1.0,) * features, ())
    return Linear(nothing, (0.0,) * features, 0.0, 0.0, 0.0)


def _logistic(z: Floats, y: Floats, strength: float, device: Device) -> tuple[Floats, float]:
    steps = 50 if device.kind == "cpu" else 1000  # Newton's, or many of a quasi-Newton method
    model = engines.make("logistic", device, C=1 / (strength * len(y)), max_iter=steps)
    model.fit(z, y)
    coef, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
    return coef.reshape(-1), float(intercept.reshape(-1)[0])


def _tweedie(z: Floats, y: Floats, strength: float) -> tuple[Floats, float]:
    from sklearn.linear_model import TweedieRegressor

    model = TweedieRegressor(
        power=TWEEDIE_POWER, link="log", alpha=strength, solver="newton-cholesky", max_iter=50
    )
    model.fit(z, y)
    return model.coef_, float(model.intercept_)


def _log_loss(margin: Floats, y: Floats) -> float:
    return float(np.mean(np.logaddexp(0.0, margin) - y * margin))


def _tweedie_loss(margin: Floats, y: Floats) -> float:
    """Half the unit deviance at power 1.5 less what does not depend on the margin."""
    margin = np.clip(margin, -20.0, 20.0)
    return float(np.mean(2 * np.exp(margin / 2) + 2 * y * np.exp(-margin / 2)))


def _choose(spec: LogisticSpec, z: Floats, y: Floats, rows: Rows, fit: Any, loss: Any) -> float:
    """The strength with the least loss on users left out."""
    if len(rows) > spec.search_rows:
        return spec.strengths[-1]
    losses = dict.fromkeys(spec.strengths, 0.0)
    for fold in np.unique(rows.fold):
        out = rows.fold == fold
        if y[~out].min() == y[~out].max():
            continue
        for strength in spec.strengths:
            coef, intercept = fit(z[~out], y[~out], strength)
            losses[strength] += out.sum() * loss(z[out] @ coef + intercept, y[out])
    return min(spec.strengths, key=lambda strength: losses[strength])
