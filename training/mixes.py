"""Models alone and together, tried on rows that none was fitted on, and which of them is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training.blend import Target, average, fit_weights, joined
from training.metrics import Floats
from training.rows import Rows
from training.validation import churn_losses, value_losses

STACK = "stack"
TIE = 1.0  # standard errors


@dataclass(frozen=True)
class Mix:
    """Kinds and their weights; one kind alone has the weight 1."""

    name: str
    kinds: tuple[str, ...]
    weights: tuple[float, ...] = (1.0,)

    def __str__(self) -> str:
        if len(self.kinds) == 1:
            return self.name
        each = zip(self.weights, self.kinds, strict=True)
        return f"{self.name} ({', '.join(f'{weight:.2f} {kind}' for weight, kind in each)})"


@dataclass(frozen=True)
class Tried:
    """`losses`: of each row of the calibration slice, shape (n,)."""

    mix: Mix
    losses: Floats


def tried(of: Target, margins: Mapping[str, Floats], later: Rows) -> list[Tried]:
    """Each part alone, every two averaged, then all of them, then stacked, by what they say, shape
    (n,), of rows that none was fitted on."""
    found = [Tried(Mix(k, (k,)), _losses(of, margin, later)) for k, margin in margins.items()]
    if len(margins) == 1:
        return found
    kinds, held = tuple(margins), list(margins.values())
    equal = average(len(kinds))
    target = _target(of, later)
    stacked = np.empty(len(later))
    for fold in np.unique(later.fold):
        out = later.fold == fold
        weights = fit_weights(of, [m[~out] for m in held], target[~out])
        stacked[out] = joined(of, [m[out] for m in held], weights)
    weights = fit_weights(of, held, target)
    pairs = [_pair(of, margins, pair, later) for pair in combinations(kinds, 2)]
    if kinds in [pair.mix.kinds for pair in pairs]:  # of two kinds, two are all
        pairs = []
    return [
        *found,
        *pairs,
        Tried(Mix("average", kinds, equal), _losses(of, joined(of, held, equal), later)),
        Tried(Mix(STACK, kinds, weights), _losses(of, stacked, later)),
    ]


def _pair(of: Target, margins: Mapping[str, Floats], pair: tuple[str, str], later: Rows) -> Tried:
    blended = joined(of, [margins[kind] for kind in pair], average(2))
    return Tried(Mix(" + ".join(pair), pair, average(2)), _losses(of, blended, later))


def _target(of: Target, rows: Rows) -> Floats:
    if of == "churn":
        return rows.churn
    assert rows.value is not None
    spent = np.maximum(rows.value, 0.0)
    return np.asarray(spent / (spent.mean() or 1.0))


def _losses(of: Target, margin: Floats, rows: Rows) -> Floats:
    if of == "churn":
        return churn_losses(margin, rows.churn, rows.fold)
    assert rows.value is not None
    return value_losses(np.exp(margin), rows.value, rows.fold)


def pick(tried: Sequence[Tried], users: np.ndarray) -> Tried:
    """Of those that are not worse than the best by more than the standard error of the difference,
    the plain average of most kinds, of two such the better one; else the simplest alone; a stack
    where nothing else is as good.

    users    of each row, shape (n,): the rows of one user are not independent
    """
    best = min(tried, key=lambda one: float(one.losses.mean()))
    _, of = np.unique(users, return_inverse=True)
    tied = [one for one in tried if not _clearly_worse(one, best, of)]

    def rank(one: Tried) -> tuple[bool, int, float]:
        kinds = len(one.mix.kinds)
        within = float(one.losses.mean()) if kinds > 1 else float(tried.index(one))
        return one.mix.name == STACK, -kinds, within

    return min(tied, key=rank)


def _clearly_worse(one: Tried, best: Tried, of: np.ndarray) -> bool:
    lost = np.bincount(of, one.losses - best.losses)
    if len(lost) == 1:
        return False
    error = float(lost.std(ddof=1)) * len(lost) ** 0.5
    return bool(float(lost.sum()) > TIE * error)
