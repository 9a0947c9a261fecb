"""What an expected value says of the value itself: a table from a mean to a distribution.

Learned on rows that the model has not seen, from its means alone, so it fits any model: trees,
a line, a sequence model, a blend. See EasyUQ, Walz et al. 2024. The only assumption: who is
expected to bring more has stochastically more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.metrics import Floats
from training.ordered import Places, fit_ordered
from training.spread import LEVELS, Spread

Names = npt.NDArray[np.str_]
FOLDS = 5
MIDDLE = 0.5
GRID = 10_000  # ranks are told apart to so many parts of 1
LEAST = 1e-300  # keeps the log of a mean of nothing finite


@dataclass(frozen=True)
class Worth:
    """`means`: (bins,), rising; `quantiles`: (bins, levels), rising both ways. In money.

    The table knows no horizon: a mean of 50 over 39 weeks is read like a mean of 50 over 13.
    """

    means: Floats
    levels: tuple[float, ...]
    quantiles: Floats

    def spread(self, mean: Floats) -> Spread:
        """The distributions of expected values (n,); their means are left as they are.

        Between two bins on a line in the log of the mean. Above the last one the median and what
        lies above it grow in proportion to the mean: held, they would cap the users worth the
        most, whose amounts differ by ratios. What lies below the median is held there: nobody
        has shown that who is expected to bring so much cannot bring less. Below the first bin all
        are held: small means differ in who buys at all, not in what a buyer pays.
        """
        known, asked = np.log(np.maximum(self.means, LEAST)), np.log(np.maximum(mean, LEAST))
        place = np.interp(asked, known, np.arange(len(known)))
        low = np.floor(place).astype(np.int64)
        part = (place - low)[:, None]
        high = np.minimum(low + 1, len(known) - 1)
        between = self.quantiles[low] + part * (self.quantiles[high] - self.quantiles[low])
        top = float(self.means[-1])
        beyond = np.maximum(mean / top, 1.0) if top > 0 else np.ones(len(mean))
        grows = (np.array(self.levels) >= MIDDLE) & (between > 0)
        grown = np.where(grows, between * beyond[:, None], between)
        return Spread(mean, self.levels, np.maximum.accumulate(grown, 1))

    def to_dict(self) -> dict[str, Any]:
        return {
            "levels": list(self.levels),
            "means": self.means.tolist(),
            "quantiles": self.quantiles.tolist(),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Worth:
        return cls(np.array(raw["means"]), tuple(raw["levels"]), np.array(raw["quantiles"]))


def fit_worth(mean: Floats, value: Floats, users: Names | None = None) -> Worth | None:
    """From rows that the model has not seen: its means (n,), values (n,) and users (n,), in money.

    A user's rows share the weight of one; `users` None: a row a user. None where nobody is there.
    The quantiles are those of levels corrected by users left out: see `_corrected`.
    """
    there = np.isfinite(mean) & np.isfinite(value)
    if not there.any():
        return None
    mean, value = np.maximum(mean[there], 0.0), value[there]
    names = np.zeros(len(mean)) if users is None else users[there]
    order = np.lexsort((names, value, mean))  # every sum below is then of one order
    mean, value = mean[order], value[order]
    codes = np.arange(len(mean))
    if users is not None:
        codes = np.unique(names[order], return_inverse=True)[1]
    weight = 1.0 / np.bincount(codes)[codes]
    table = fit_ordered(mean, value, weight)
    levels = _corrected(mean, value, weight, codes % FOLDS)
    return _thinned(Worth(table.number, LEVELS, table.quantiles(levels)))


def _corrected(mean: Floats, value: Floats, weight: Floats, fold: Places) -> Floats:
    """The levels to read a table at for those of LEVELS to hold, shape (levels,).

    A table fitted to rows lies nearer to them than to others. So each fold is ranked in a table
    of the other folds, and a level is moved to where as many of those ranks lie below it as it
    says: Kuleshov et al. 2018 on ranks of users left out; distributional conformal prediction,
    Chernozhukov et al. 2021. The mass of a tie is spread over its ranks evenly.
    """
    if len(np.unique(fold)) == 1:
        return np.array(LEVELS)
    below, upto = np.empty(len(mean)), np.empty(len(mean))
    for one in np.unique(fold):
        out = fold == one
        table = fit_ordered(mean[~out], value[~out], weight[~out])
        below[out], upto[out] = table.ranks(mean[out], value[out])
    return level_at(below, upto, weight)


def level_at(below: Floats, upto: Floats, weight: Floats) -> Floats:
    """Where the share of ranks below reaches each of LEVELS, one more user's rank being on the
    far side of it: as in conformal prediction, which few users make wider."""
    low, high = np.rint(GRID * below).astype(np.int64), np.rint(GRID * upto).astype(np.int64)
    wide = high > low
    slope = np.where(wide, weight / np.maximum(high - low, 1), 0.0)
    bends = np.bincount(low, slope, GRID + 1) - np.bincount(high, slope, GRID + 1)
    jumps = np.bincount(low, np.where(wide, 0.0, weight), GRID + 1)
    reached = np.r_[0.0, np.cumsum(np.cumsum(bends))[:-1]] + np.cumsum(jumps)
    levels, users = np.array(LEVELS), weight.sum()
    beyond = (1 - np.sign(levels - MIDDLE)) / 2
    wanted = levels * (users + 1) - beyond
    return np.asarray(np.interp(wanted, reached, np.arange(GRID + 1) / GRID))


def _thinned(worth: Worth) -> Worth:
    """Without the bins whose both neighbours have the same quantiles: the spread is the same."""
    q = worth.quantiles
    same = (q[1:] == q[:-1]).all(1)
    keep = ~(np.r_[False, same] & np.r_[same, False])
    return Worth(worth.means[keep], worth.levels, q[keep])
