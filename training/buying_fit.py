"""Maximum likelihood of a few positive parameters: Newton's method on their logarithms.

The Hessian is at hand, exact and small, so each step solves the quadratic model, with its
eigenvalues made positive (the likelihood of these models is not concave everywhere) and the step
bounded; a few steps suffice for any number of customers. Parameters that run away, because the
data do not tell them from none or from infinitely much, stop at a bound or near it, where the
likelihood is level, and are named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.linalg import eigh, inv

from runtime.errors import ModelError
from training.metrics import Floats

MOST_STEPS = 200
LONGEST_STEP = 2.0  # of a logarithm
SHORTEST = 2.0**-30  # the last halving of a step
FLAT = 1e-9  # eigenvalues below this share of the largest count as this much
FURTHEST = 12.0  # logarithms stay within -+ this of 1, in units in which 1 is usual

Bools = npt.NDArray[np.bool_]
Derivatives = tuple[float, Floats, Floats]  # log-likelihood, its gradient (k,), its Hessian (k, k)
Objective = Callable[[Floats], Derivatives]


@dataclass(frozen=True)
class Optimum:
    """Where the search ended; `bound`: which parameters stopped at a bound, shape (k,)."""

    at: Floats
    value: float
    hessian: Floats
    bound: tuple[bool, ...]
    steps: int


@dataclass(frozen=True)
class Fit:
    """What a fit found. JSON takes all of it.

    log_covariance   of the logarithms of the parameters, shape (k, k): the inverse of the negative
                     Hessian at the optimum; None in the rows of parameters that the data do not
                     tell, and of those that mean little without these
    notes            in words, what the data cannot tell
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    log_covariance: tuple[tuple[float | None, ...], ...]
    log_likelihood: float
    customers: int
    steps: int
    notes: tuple[str, ...] = ()

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float] | None]:
        """By name, where the parameter lies with probability `level`: normal on the log scale
        (the delta method), so never below 0; None for one without variance."""
        reach = NormalDist().inv_cdf(0.5 + level / 2)
        found: dict[str, tuple[float, float] | None] = {}
        for k, (name, value) in enumerate(zip(self.names, self.values, strict=True)):
            variance = self.log_covariance[k][k]
            if variance is None:
                found[name] = None
                continue
            factor = float(np.exp(min(reach * variance**0.5, 700.0)))
            found[name] = (value / factor, value * factor)
        return found

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], names: tuple[str, ...]) -> Fit:
        """Of `asdict`'s keys and values, as JSON gives them back. Raises ValueError or KeyError
        where they are no fit of these parameters."""
        rest = dict(raw)
        rows = tuple(map(tuple, rest.pop("log_covariance")))
        values = tuple(map(float, rest.pop("values")))
        if tuple(rest.pop("names")) != names or {len(values), len(rows)} != {len(names)}:
            raise ValueError(f"parameters {names} are not all there")
        if not all(0 < value < math.inf for value in values):
            raise ValueError(f"parameters {values} are not all above 0")
        return cls(names, values, rows, notes=tuple(rest.pop("notes")), **rest)


def maximise(objective: Objective, start: Sequence[float], free: int = 0) -> Optimum:
    """The maximum nearest uphill of `start`.

    objective   of the logarithms of parameters, each about 1 in its units
    free        how many parameters at the end are coefficients, not logarithms

    Raises ModelError where the search does not end.
    """
    at = np.array(start, dtype=np.float64)
    low = np.full(len(at), -FURTHEST)
    value, gradient, hessian = objective(at)
    for step in range(1, MOST_STEPS + 1):
        bound = ((at <= low) & (gradient < 0)) | ((at >= -low) & (gradient > 0))
        direction, gain, concave = _direction(gradient, hessian, ~bound)
        if concave and gain <= max(1e-8, 1e-13 * abs(value)):
            return Optimum(at, value, hessian, tuple(bound.tolist()), step)
        found = _uphill(objective, at, value, direction, gain, -low)
        if found is None:  # no better to be had in this arithmetic
            return Optimum(at, value, hessian, tuple(bound.tolist()), step)
        at, (value, gradient, hessian) = found
    raise ModelError(
        f"buying: no maximum found in {MOST_STEPS} steps, the last at "
        f"{np.exp(at[: len(at) - free]).round(4).tolist()}; check the units of time and amounts"
    )


def _direction(gradient: Floats, hessian: Floats, free: Bools) -> tuple[Floats, float, bool]:
    """A step, what it promises, and whether the likelihood bends downward in every direction."""
    direction = np.zeros_like(gradient)
    if not free.any():
        return direction, 0.0, True
    bends, axes = eigh(-hessian[np.ix_(free, free)])
    least = FLAT * max(float(np.abs(bends).max()), 1e-300)
    along = axes.T @ gradient[free]
    direction[free] = axes @ (along / np.maximum(np.abs(bends), least))
    length = float(np.abs(direction).max())
    if length > LONGEST_STEP:
        direction *= LONGEST_STEP / length
    return direction, float(gradient @ direction), bool(bends.min() > -least)


def _uphill(
    objective: Objective, at: Floats, value: float, direction: Floats, gain: float, most: Floats
) -> tuple[Floats, Derivatives] | None:
    share = 1.0
    while share > SHORTEST:
        there = np.clip(at + share * direction, -most, most)
        found = objective(there)
        if np.isfinite(found[0]) and found[0] > value + 1e-4 * share * gain:
            return there, found
        share /= 2
    return None


Pairs = Sequence[tuple[int, int]]


def covariance(optimum: Optimum, pairs: Pairs) -> tuple[tuple[float | None, ...], ...]:
    """The inverse of the negative Hessian over the parameters that the data tell.

    pairs   parameters that mean little without each other: where one is not told, neither has an
            interval. What they mean together is told, and no other interval is the narrower for it
    """
    size = len(optimum.at)
    found: list[list[float | None]] = [[None] * size for _ in range(size)]
    runaways = _runaways(optimum)
    untold = _with_pairs(set(runaways), pairs)
    held = {k for k in runaways if optimum.bound[k]}
    for k in sorted(set(runaways) - held):  # one of a pair is held, the other moves for both
        held |= {k} if held.isdisjoint(_with_pairs({k}, pairs)) else set()
    inverse = _inverse(optimum, held)
    if inverse is not None:
        for i, j in product(set(range(size)) - untold, repeat=2):
            found[i][j] = float(inverse[i, j])
    return tuple(map(tuple, found))


def _inverse(optimum: Optimum, held: set[int]) -> Floats | None:
    """Of the negative Hessian over all parameters but those `held`, which have NaN, shape (k, k).
    None where some direction has no curvature: the data say nothing about it."""
    free = [k for k in range(len(optimum.at)) if k not in held]
    found = np.full(optimum.hessian.shape, np.nan)
    if free:
        block = -optimum.hessian[np.ix_(free, free)]
        if float(eigh(block)[0].min()) <= FLAT * float(np.abs(np.diag(block)).max()):
            return None
        found[np.ix_(free, free)] = inv(block)
    return found


def _runaways(optimum: Optimum) -> dict[int, bool]:
    """Which parameters the data do not tell from none (False) or from infinitely much (True): they
    stopped at a bound, or the interval of 95 % goes beyond it."""
    stopped = {k for k, bound in enumerate(optimum.bound) if bound}
    inverse = _inverse(optimum, stopped)
    if inverse is not None:
        reach = NormalDist().inv_cdf(0.975) * np.sqrt(np.diag(inverse))  # NaN of those that stopped
        stopped |= set(np.flatnonzero(np.abs(optimum.at) + reach > FURTHEST).tolist())
    return {k: bool(optimum.at[k] > 0) for k in sorted(stopped)}


def _with_pairs(some: set[int], pairs: Pairs) -> set[int]:
    return some | {k for pair in pairs if some & set(pair) for k in pair}


def notes(
    names: Sequence[str], optimum: Optimum, pairs: Pairs, coefficients: int = 0
) -> tuple[str, ...]:
    """What the data cannot tell, in words. `coefficients`: how many of the last are plain numbers,
    not logarithms."""
    found, said = [], set[int]()
    for k, up in _runaways(optimum).items():
        if k in said:
            continue
        said |= _with_pairs({k}, pairs)
        none = "0" if k < len(names) - coefficients else "-infinity"
        others = [names[i] for pair in pairs if k in pair for i in pair if i != k]
        apart = f", nor {' and '.join(others)} but together with it" if others else ""
        end = "infinity" if up else none
        found.append(f"{names[k]} runs to {end}: the data do not tell it{apart}; no intervals")
    told = covariance(optimum, pairs)
    if not found and any(row[k] is None for k, row in enumerate(told)):
        found.append("the likelihood is flat in some direction: the parameters have no intervals")
    return tuple(found)
