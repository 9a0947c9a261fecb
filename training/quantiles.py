"""Quantile regression of value by XGBoost, several levels at once, made to rise along them.

In two parts the amounts of those who spend are regressed, and the mass at zero is P(value = 0) of
the two-part model, whose mean is this one's mean too: quantiles say nothing of a heavy tail's mean.
The direct form regresses the value itself. What is below 0 counts as 0 in both
(training.fitting.relative_value), so where many users have more refunded than they spend the
quantiles are not used (training.ranges).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from runtime.device import Device
from training import held_arrays, two_part
from training.metrics import Floats
from training.rows import Matrix, Rows
from training.spread import LEVELS, Spread, of_quantiles, with_zeros
from training.trees import Size, Trees, XGBoostSpec, boost
from training.two_part import TwoPart, TwoPartSpec

Form = Literal["two_part", "direct"]
INNER = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
DIRECT = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
FEW_ZEROS = 0.02  # a smaller mass at zero is met by the direct form


@dataclass(frozen=True)
class QuantileSpec:
    """`form`: None: direct where nearly all values are not 0. `size`: None: found on one fold.

    A round grows a tree for each level, so that larger steps and one depth must do.
    """

    form: Form | None = None
    size: Size | None = None
    base: TwoPartSpec = field(default_factory=TwoPartSpec)
    trees: XGBoostSpec = field(
        default_factory=lambda: XGBoostSpec(
            depths=(3,), eta=0.1, most_rounds=300, patience=15, all_folds_rows=0
        )
    )

    @classmethod
    def of_seed(cls, seed: int) -> QuantileSpec:
        plain = cls()
        base = TwoPartSpec(trees=XGBoostSpec(seed=seed))
        return replace(plain, base=base, trees=replace(plain.trees, seed=seed))


@dataclass(frozen=True)
class Quantiles:
    """`trees` gives the quantiles at the form's levels: of the value, or of the log of the amount
    of those who spend."""

    base: TwoPart
    trees: Trees
    form: Form

    SUFFIX: ClassVar[str] = ".quantiles.npz"

    def spread(self, x: Matrix, levels: tuple[float, ...] = LEVELS) -> Spread:
        """In units of relative value. In two parts no quantile is below 0."""
        known = INNER if self.form == "two_part" else DIRECT
        found = self.trees.margin(x).reshape(len(x), len(known))
        rising = np.sort(found, axis=1)  # crossed ones change places
        mean = self.base.mean(x)
        if self.form == "direct":
            held = Spread(mean, known, rising)
            return of_quantiles(mean, levels, held.at)
        probability = self.base.probability(x)

        def quantile(level: float) -> Floats:
            return with_zeros(probability, level, lambda inner: along(inner, known, rising))

        return of_quantiles(mean, levels, quantile)

    def margin(self, x: Matrix) -> Floats:
        """The log of the expected relative value, shape (n,): the two-part model's."""
        return self.base.margin(x)

    def save(self, path: Path) -> None:
        header = {"form": self.form, "factor": self.base.factor}
        own = {"quantiles": held_arrays.of_booster(self.trees.booster)}
        held_arrays.write(path, "quantiles", header, {**self.base.arrays(), **own})

    @classmethod
    def load(cls, path: Path) -> Quantiles:
        """Raises ModelError where the file is not one that `save` wrote."""
        header, arrays = held_arrays.read(path, "quantiles")
        trees = Trees(held_arrays.booster_of(arrays["quantiles"]))
        return cls(TwoPart.of_arrays(header, arrays), trees, header["form"])


def fit_value(
    spec: QuantileSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Quantiles, QuantileSpec]:
    """The model and the spec with the form and the sizes that were found.

    `relative`: value over its mean, shape (n,), not below 0 and some above.
    """
    base, base_spec = two_part.fit_value(spec.base, rows, relative, device)
    zeros = float(np.mean(relative == 0))
    form: Form = spec.form or ("direct" if zeros < FEW_ZEROS else "two_part")
    kept = relative > 0 if form == "two_part" else np.ones(len(rows), dtype=np.bool_)
    target = np.log(relative[kept]) if form == "two_part" else relative
    params: dict[str, Any] = {
        "objective": "reg:quantileerror",
        "quantile_alpha": list(INNER if form == "two_part" else DIRECT),
        "eval_metric": "quantile",
    }
    booster, size = boost(spec.trees, params, rows.where(kept), target, spec.size, device)
    found = replace(spec, form=form, size=size, base=base_spec)
    return Quantiles(base, Trees(booster), form), found


def along(inner: Floats, levels: tuple[float, ...], rising: Floats) -> Floats:
    """Quantiles (n,) at levels `inner` (n,) from those at `levels`, (n, len(levels)).

    Lines over the normal score of the level, carried on beyond the ends: exact for a normal law.
    """
    from scipy.special import ndtri

    knots, z = ndtri(np.array(levels)), ndtri(inner)
    right = np.clip(np.searchsorted(knots, z), 1, len(knots) - 1)
    rows = np.arange(len(z))
    low, high = rising[rows, right - 1], rising[rows, right]
    part = (z - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray(low + part * (high - low))
