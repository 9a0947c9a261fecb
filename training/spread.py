"""A predictive distribution of value for each user: its mean, and quantiles at stated levels.

The mean is what finance adds up, the median what minimises the absolute error. Value has a mass at
zero (who does not buy), so several quantiles of a user may be 0 and the median often is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.errors import UsageError
from training.metrics import Floats

Places = npt.NDArray[np.int64]
NEAR = 1e-9
NEEDED = (0.05, 0.5, 0.95)
LEVELS = (0.01, 0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975, 0.99)


@dataclass(frozen=True)
class Spread:
    """`mean`: (n,); `quantiles`: (n, len(levels)), rising along a row; `levels` rise in (0, 1)."""

    mean: Floats
    levels: tuple[float, ...]
    quantiles: Floats

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def median(self) -> Floats:
        """Shape (n,)."""
        return self.at(0.5)

    def at(self, level: float) -> Floats:
        """The quantile of a level, shape (n,): on the line between its neighbours where it is not
        one of `levels`, and the outermost one beyond them."""
        low, high, part = _neighbours(self.levels, np.array([level]))
        below, above = self.quantiles[:, low[0]], self.quantiles[:, high[0]]
        return np.asarray(below + part[0] * (above - below))

    def scaled(self, factor: float) -> Spread:
        """Mean and quantiles times a positive number: to another unit."""
        return Spread(factor * self.mean, self.levels, factor * self.quantiles)


def levels_of(levels: tuple[float, ...]) -> tuple[float, ...]:
    """The levels as they are. Raises UsageError where they do not rise within (0, 1) or lack one
    of .05, .5 and .95."""
    inside = all(0 < level < 1 for level in levels)
    if not inside or list(levels) != sorted(set(levels)):
        raise UsageError(f"levels {levels}: must rise between 0 and 1; sort them, each once")
    if lacking := [level for level in NEEDED if level not in levels]:
        raise UsageError(f"levels {levels}: lack {lacking}; add them")
    return levels


def of_quantiles(
    mean: Floats, levels: tuple[float, ...], quantile: Callable[[float], Floats]
) -> Spread:
    """From a function that gives one level's quantiles, shape (n,). Rounding cannot cross them."""
    columns = [quantile(level) for level in levels_of(levels)]
    stacked = np.column_stack(columns) if len(mean) else np.empty((0, len(levels)))
    return Spread(mean, levels, np.maximum.accumulate(stacked, 1))


def average(spreads: Sequence[Spread]) -> Spread:
    """Means and quantiles of several models averaged, level by level: Lichtendahl, Grushka-Cockayne
    & Winkler 2013. Sharper than the mixture of the distributions. All have the same levels."""
    mean = np.mean([each.mean for each in spreads], axis=0)
    quantiles = np.mean([each.quantiles for each in spreads], axis=0)
    return Spread(mean, spreads[0].levels, quantiles)


def with_zeros(
    probability: Floats, level: float, positive: Callable[[Floats], Floats], log: bool = True
) -> Floats:
    """The quantile of a value that is positive with `probability` (n,) and else 0, shape (n,).

    `positive` gives the quantiles (n,), or with `log` their logs, of the positive part at levels
    (n,) in (0, 1): Q(l) = 0 for l <= 1 - p, else Q+((l - (1 - p)) / p).
    """
    above = level - (1.0 - probability)
    some = above > 0
    inner = np.where(some, above / np.maximum(probability, 1e-12), 0.5)
    found = positive(np.clip(inner, 1e-9, 1 - 1e-9))
    return np.asarray(np.where(some, np.exp(found) if log else found, 0.0))


def cdf(spread: Spread, at: Floats) -> Floats:
    """P(value <= at), shape (n,): between the levels on lines, 0 below the lowest quantile and the
    highest level from the highest quantile on. Of equal quantiles the highest level counts."""
    q, levels = spread.quantiles, np.array(spread.levels)
    count = (q <= at[:, None]).sum(1)  # quantiles at or below
    low = np.clip(count - 1, 0, len(levels) - 1)
    high = np.minimum(count, len(levels) - 1)
    rows = np.arange(len(at))
    below, above = q[rows, low], q[rows, high]
    width = np.where(above > below, above - below, 1.0)
    part = np.clip((at - below) / width, 0.0, 1.0)
    inside = levels[low] + np.where(above > below, part, 0.0) * (levels[high] - levels[low])
    return np.asarray(np.where(count == 0, 0.0, inside))


def sample(spread: Spread, draws: int, seed: int) -> Floats:
    """Draws of shape (n, draws) that have the stated quantiles and, where a tail can give it, the
    stated mean.

    Between the levels the quantile function is a line, below the lowest it is flat. Above the
    highest it is an exponential tail, whose mean is what `mean` asks for beyond the rest, and 0
    where it asks for less.
    """
    uniform = np.random.default_rng(seed).random((len(spread), draws))
    low, high, part = _neighbours(spread.levels, uniform)
    below = np.take_along_axis(spread.quantiles, low, 1)
    above = np.take_along_axis(spread.quantiles, high, 1)
    drawn = below + part * (above - below)
    top = spread.levels[-1]
    far = np.maximum((uniform - top) / (1 - top), 0.0)  # where in the tail, 0 below it
    return np.asarray(drawn - tail_mean(spread)[:, None] * np.log1p(-far))


def tail_mean(spread: Spread) -> Floats:
    """Mean excess over the highest quantile that gives the stated mean, none below 0: (n,)."""
    levels, q = np.array(spread.levels), spread.quantiles
    body = ((q[:, 1:] + q[:, :-1]) / 2 * np.diff(levels)).sum(1) + levels[0] * q[:, 0]
    return np.asarray(np.maximum((spread.mean - body) / (1 - levels[-1]) - q[:, -1], 0.0))


def interval(spread: Spread, share: float = 0.9) -> tuple[Floats, Floats]:
    """Ends (n,), (n,) of an interval that holds `share`, both included.

    Both tails are equal, but for who has more than a tail's mass at the lowest value: nobody lies
    below that, so that the whole rest may lie above and the upper end is at level `share`.
    Otherwise such intervals would hold more than they say.
    """
    tail = (1 - share) / 2
    low, floor = spread.at(tail), spread.quantiles[:, 0]
    # Where the lowest level is the tail's own, the next one tells whether mass lies there.
    below = sum(level < tail + NEAR for level in spread.levels)
    flat = (low if spread.levels[0] < tail - NEAR else spread.quantiles[:, below]) <= floor
    return np.where(flat, floor, low), np.where(flat, spread.at(share), spread.at(1 - tail))


def _neighbours(levels: tuple[float, ...], wanted: Floats) -> tuple[Places, Places, Floats]:
    """Places of the levels at or below and above, and how far between, each of wanted's shape."""
    known = np.array(levels)
    place = np.interp(wanted, known, np.arange(len(known)))
    # A level named exactly is met exactly, whatever the rounding of its place.
    low = np.floor(place + NEAR).astype(np.int64)
    high = np.minimum(low + 1, len(known) - 1)
    return low, high, np.clip(place - low, 0.0, 1.0)
