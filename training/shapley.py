"""What each of a few columns adds to a model's margin, exactly: baseline Shapley values.

The margin with some columns as they are and the others as a typical user has them, over all
choices of some: 2^k margins for k columns. Shapley 1953; with one baseline Sundararajan & Najmi
2020, "The many Shapley values for model explanation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np

from training.metrics import Floats
from training.rows import Matrix


def shapley(
    margin: Callable[[Matrix], Floats], x: Matrix, columns: Sequence[int], usual: Sequence[float]
) -> Floats:
    """Shape (n, columns of x), 0 in columns that are not named; a row adds up to its margin less
    the one with `usual` in the named columns."""
    found = np.zeros(x.shape)
    count = len(columns)
    with_own = {own: _mixed(margin, x, columns, usual, own) for own in _choices(range(count))}
    for k, column in enumerate(columns):
        for others in _choices([j for j in range(count) if j != k]):
            weight = 1 / (count * comb(count - 1, len(others)))
            gain = with_own[tuple(sorted((*others, k)))] - with_own[others]
            found[:, column] += weight * gain
    return found


def _choices(of: Sequence[int]) -> list[tuple[int, ...]]:
    return [some for size in range(len(of) + 1) for some in combinations(of, size)]


def _mixed(
    margin: Callable[[Matrix], Floats],
    x: Matrix,
    columns: Sequence[int],
    usual: Sequence[float],
    own: tuple[int, ...],
) -> Floats:
    mixed = x.copy()
    for k, column in enumerate(columns):
        if k not in own:
            mixed[:, column] = usual[k]
    return margin(mixed)
