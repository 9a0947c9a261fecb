"""Medians of what is partly unknown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def median(values: Floats, axis: int) -> Floats:
    """NaN-ignoring, without the warning for what is all NaN."""
    ordered = np.sort(values, axis=axis)  # NaN last
    known = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((known - 1) // 2, 0), axis=axis)
    high = np.take_along_axis(ordered, np.minimum(known // 2, values.shape[axis] - 1), axis=axis)
    middle = np.where(known % 2 == 1, low, (low + high) / 2)
    return np.squeeze(np.where(known > 0, middle, np.nan), axis=axis)
