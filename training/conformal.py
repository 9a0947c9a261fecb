"""Intervals of value that hold: quantiles of a model, moved by what a later slice shows.

Conformalized quantile regression, Romano, Patterson & Candes 2019, asymmetric (their theorem 2),
with two changes for value. Where the lower quantile is nothing, nobody can spend less, so all of
the allowed misses go to the upper side: such users are calibrated apart, on one side. And money is
measured on a scale that is linear near nothing and logarithmic far from it, so that one step fits
small and large spenders.

Users, not rows, are exchangeable: a user's rows share the weight of one user, and a new user's
own weight is put at infinity (Lee, Barber & Willett 2023). With one row a user a new row of the
same time is covered with probability 1 - misses or more. Over time nothing guarantees that:
training.coverage measures it over past cutoffs and adapts the misses allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.metrics import Floats

Names = npt.NDArray[np.str_]
NEAR = 1e-12


@dataclass(frozen=True)
class Conformal:
    """Steps on the scale of money; infinite where too few users can vouch for the misses.

    `unit`: money below which the scale is linear; `least`: what nobody goes below (None: there is
    no such amount). `below`, `above`: for users who may go below their interval; `above_least`:
    for those whose lower end is `least`.
    """

    levels: tuple[float, ...]
    misses: float
    unit: float
    least: float | None
    below: float
    above: float
    above_least: float

    def __call__(self, quantiles: Floats) -> tuple[Floats, Floats]:
        """Low and high, shape (n,), in money, from quantiles of shape (n, levels)."""
        low, high, floored = _ends(quantiles, self.levels, self.misses, self.unit, self.least)
        low = np.where(floored, low, low - self.below)
        high = high + np.where(floored, self.above_least, self.above)
        low, high = _money(low, self.unit), _money(high, self.unit)
        if self.least is not None:
            low = np.where(floored, self.least, np.maximum(low, self.least))
            high = np.maximum(high, self.least)
        crossed = low > high
        middle = np.where(crossed, low, high) / 2 + np.where(crossed, high, high) / 2
        return np.where(crossed, middle, low), np.where(crossed, middle, high)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: infinite steps as text."""
        raw = asdict(self)
        ends = ("below", "above", "above_least")
        return raw | {k: raw[k] if np.isfinite(raw[k]) else str(raw[k]) for k in ends}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Conformal:
        ends = {k: float(raw[k]) for k in ("below", "above", "above_least")}
        return cls(**{**raw, **ends, "levels": tuple(raw["levels"])})


def fit_conformal(
    quantiles: Floats,
    levels: Sequence[float],
    value: Floats,
    users: Names | None = None,
    misses: float = 0.1,
) -> Conformal:
    """From rows later than the fit: quantiles (n, levels), rising levels, value (n,), users (n,).

    `misses`: the share of users that may fall outside, in (0, 1). `users` None: a row a user.
    """
    levels = tuple(float(level) for level in levels)
    least = 0.0 if not len(value) or float(value.min()) >= 0 else None
    spent = value[value > 0]
    unit = float(np.median(spent)) if len(spent) else 1.0
    low, high, floored = _ends(quantiles, levels, misses, unit, least)
    y = _scale(value, unit)
    weights = _user_weights(users, len(value))
    over = np.where(value <= (-np.inf if least is None else least), -np.inf, y - high)
    free, at_least = ~floored, floored
    return Conformal(
        levels=levels,
        misses=misses,
        unit=unit,
        least=least,
        below=_step((low - y)[free], weights, free, misses / 2),
        above=_step(over[free], weights, free, misses / 2),
        above_least=_step(over[at_least], weights, at_least, misses),
    )


def covered(conformal: Conformal, quantiles: Floats, value: Floats) -> npt.NDArray[np.bool_]:
    """Whether each row lies in its interval, ends counted, shape (n,)."""
    low, high = conformal(quantiles)
    slack = NEAR * (1 + np.abs(value))
    return np.asarray((value >= low - slack) & (value <= high + slack))


def quantile_at(quantiles: Floats, levels: Sequence[float], level: float) -> Floats:
    """Shape (n,), between the two nearest levels in a straight line, the outermost beyond."""
    known = np.asarray(levels)
    place = int(np.clip(np.searchsorted(known, level), 1, max(len(known) - 1, 1)))
    if len(known) == 1:
        return quantiles[:, 0]
    before, after = known[place - 1], known[place]
    share = float(np.clip((level - before) / (after - before), 0.0, 1.0))
    return np.asarray((1 - share) * quantiles[:, place - 1] + share * quantiles[:, place])


def _ends(
    quantiles: Floats, levels: Sequence[float], misses: float, unit: float, least: float | None
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Both ends on the scale, and who cannot fall below the lower one."""
    rising = np.maximum.accumulate(quantiles, axis=1)
    low = quantile_at(rising, levels, misses / 2)
    floored = np.zeros(len(low), bool) if least is None else low <= least
    sides = quantile_at(rising, levels, 1 - misses / 2), quantile_at(rising, levels, 1 - misses)
    high = np.where(floored, sides[1], sides[0])
    if least is not None:
        low, high = np.maximum(low, least), np.maximum(high, least)
    return _scale(low, unit), _scale(high, unit), floored


def _scale(money: Floats, unit: float) -> Floats:
    return np.asarray(np.arcsinh(money / unit))


def _money(scaled: Floats, unit: float) -> Floats:
    # Far beyond any log of money; keeps an infinite step infinite and never overflows.
    with np.errstate(over="ignore"):
        return np.asarray(unit * np.sinh(scaled))


def _user_weights(users: Names | None, rows: int) -> tuple[npt.NDArray[np.int64], int]:
    """A code for each row's user, and how many users there are."""
    if users is None:
        return np.arange(rows), rows
    codes = np.unique(users, return_inverse=True)[1]
    return codes.astype(np.int64), int(codes.max()) + 1 if rows else 0


def _step(
    score: Floats,
    users: tuple[npt.NDArray[np.int64], int],
    rows: npt.NDArray[np.bool_],
    misses: float,
) -> float:
    """The least step that all but `misses` of the users keep within, one more user at infinity."""
    codes = users[0][rows]
    if not len(codes):
        return 0.0
    count = np.bincount(codes, minlength=users[1]).astype(np.float64)
    there = int((count > 0).sum())
    weight = 1 / count[codes] / (there + 1)
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(weight[order])
    place = int(np.searchsorted(reached, 1 - misses - NEAR))
    if place >= len(order):
        return float("inf")
    step = float(score[order][place])
    # All of them spent nothing: any step will do, and the smallest says the least.
    return step if np.isfinite(step) else float(np.min(score[np.isfinite(score)], initial=0.0))
