"""A model's own distribution of value, made to hold on rows that the model has not seen.

For a model that learns quantiles they are what it knows, and the table of `training.worth`, which
knows the mean alone, would throw them away. But quantiles fitted to rows lie nearer to these than
to others, so each is read at the level at which it holds on later rows: Kuleshov et al. 2018;
distributional conformal prediction, Chernozhukov et al. 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from training.metrics import Floats
from training.rows import Matrix
from training.spread import LEVELS, Spread
from training.worth import Names, level_at

ASKED = (0.001, 0.005, *LEVELS, 0.995, 0.999)


class Knowing(Protocol):
    """An estimator of value that has a distribution of its own."""

    def spread(self, x: Matrix, levels: tuple[float, ...]) -> Spread: ...


@dataclass(frozen=True)
class OwnLevels:
    """`at`: the level of the model's own distribution that holds for each of LEVELS, rising."""

    at: tuple[float, ...]

    def spread(self, model: Knowing, x: Matrix, mean: Floats, scale: float) -> Spread:
        """Of rows (n, inputs) whose means are (n,), in money; `scale`: money per unit of the
        model's."""
        own = model.spread(x, ASKED).scaled(scale)
        found = np.stack([own.at(level) for level in self.at], axis=1)
        return Spread(mean, LEVELS, np.maximum.accumulate(found, 1))

    def to_dict(self) -> dict[str, Any]:
        return {"at": list(self.at)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> OwnLevels:
        return cls(tuple(raw["at"]))


def fit_own_levels(
    model: Knowing, x: Matrix, value: Floats, users: Names, scale: float
) -> OwnLevels:
    """From rows that the model has not seen, (n, inputs), their values (n,), in money, and users
    (n,), of whom each has the weight of one."""
    below, upto = ranks(model.spread(x, ASKED).scaled(scale), value)
    codes = np.unique(users, return_inverse=True)[1]
    weight = 1.0 / np.bincount(codes)[codes]
    found = np.clip(level_at(below, upto, weight), ASKED[0], ASKED[-1])
    return OwnLevels(tuple(np.maximum.accumulate(found).tolist()))


def ranks(spread: Spread, value: Floats) -> tuple[Floats, Floats]:
    """P(below the value) and P(up to it), each (n,). They differ where quantiles are equal, such
    as those at 0, and beyond the outermost ones, where only so much is known."""
    levels, q = np.array([0.0, *spread.levels, 1.0]), spread.quantiles
    first, last = (q < value[:, None]).sum(1), (q <= value[:, None]).sum(1)
    rows, most = np.arange(len(value)), q.shape[1] - 1
    left, right = q[rows, np.maximum(first - 1, 0)], q[rows, np.minimum(first, most)]
    low, high = levels[first], levels[first + 1]
    tied, outside = last > first, (first == 0) | (first > most)
    part = (value - left) / np.where(right > left, right - left, 1.0)
    between = low + np.clip(part, 0.0, 1.0) * (high - low)
    below = np.where(tied, np.where(first == 0, 0.0, high), np.where(outside, low, between))
    upto = np.where(tied, levels[last], np.where(outside, high, between))
    return below, upto
