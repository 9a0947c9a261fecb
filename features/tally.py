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
    """Of each boundary, user and code: `counts`, the rows before the boundary, and `last`, the
    place of the last of them or NOWHERE; both of shape (width * users, 1 + code), a boundary's
    users together, the first column for rows without a code; `last` is empty where it was not
    asked for."""

    counts: NDArray[Any]
    last: NDArray[Any]


def tally(
    number: Ints,
    passed: NDArray[np.int32],
    codes: NDArray[Any],
    users: int,
    width: int,
    most: int,
    scratch: Ints,
    *,
    with_last: bool,
) -> Tally | None:
    """None where it would take too much memory. `number`: the user of each row; `passed`: how
    many boundaries lie at or before it; `codes`: from -1, for none; those above `most` are not
    asked for. `scratch`: as long, written over: fresh memory takes its time.

    What lies before a boundary is a running sum over the boundaries. These come first in the
    grid, so that it is a sum of long runs; of rows of one place the last one stays.
    """
    kinds = most + 2
    span = users * kinds
    if width * span > MOST_CELLS:
        return None
    place = np.multiply(number, kinds, out=scratch)
    place += passed * np.int32(span)
    place += np.where(codes > most, np.int16(0), codes + np.int16(1))
    counts = np.bincount(place, minlength=width * span).reshape(width, span)
    last = np.full((width, span) if with_last else (0, kinds), NOWHERE, dtype=np.int32)
    if with_last:
        last.reshape(-1)[place] = np.arange(len(place), dtype=np.int32)
    for j in range(1, width):  # in a fraction of the time of NumPy's own running sums
        counts[j] += counts[j - 1]
        if with_last:
            np.maximum(last[j], last[j - 1], out=last[j])
    return Tally(counts.reshape(-1, kinds), last.reshape(-1, kinds))
