"""Counts and last places of codes, of all codes of a column in one pass over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
MOST_CELLS = 1 << 21  # beyond, a pass for each code takes less memory and no more time
NOWHERE = -1


@dataclass(frozen=True)
class Tally:
    """Of each user, boundary and code: `counts`, the rows before the boundary, and `last`, the
    place of the last of them or NOWHERE; both of shape (users, width, 1 + code), the first for
    rows without a code; `last` is empty where it was not asked for."""

    counts: NDArray[Any]
    last: NDArray[Any]


def tally(
    cell: Ints,
    codes: NDArray[Any],
    users: int,
    width: int,
    most: int,
    scratch: Ints,
    *,
    with_last: bool,
) -> Tally | None:
    """None where it would take too much memory. `codes`: from -1, for none; those above `most`
    are not asked for. `scratch`: as long as `cell`, written over: fresh memory takes its time.

    Rows lie in the order of their cells, so what lies before a boundary is a running sum.
    """
    kinds = most + 2
    size = users * width * kinds
    if size > MOST_CELLS:
        return None
    place = np.multiply(cell, kinds, out=scratch)
    place += np.where(codes > most, np.int16(0), codes + np.int16(1))
    counts = np.bincount(place, minlength=size).reshape(users, width, kinds)
    last = np.full(size if with_last else 0, NOWHERE, dtype=np.int32)
    if with_last:
        last[place] = np.arange(
            len(place), dtype=np.int32
        )  # of rows of one place the last one stays
        last.shape = (users, width, kinds)
    for j in range(1, width):  # in a fraction of the time of NumPy's own running sums
        counts[:, j] += counts[:, j - 1]
        if with_last:
            np.maximum(last[:, j], last[:, j - 1], out=last[:, j])
    return Tally(counts, last)
