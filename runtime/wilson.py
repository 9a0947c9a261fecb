"""The interval of a share: Wilson 1927, in the form of Agresti and Coull 1998, eq. 2."""

from __future__ import annotations

from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Z_95 = NormalDist().inv_cdf(0.975)
Number = TypeVar("Number", float, npt.NDArray[np.float64], pl.Expr)


def wilson(share: Number, count: Number, z: float = Z_95) -> tuple[Number, Number]:
    """Low and high of a share of `count`; `z`: how many standard errors, by default 95 %.

    Of numbers, arrays (elementwise) and Polars expressions alike. Rounding can leave a bound
    beyond the share, or beyond 0 or 1, by a last digit: whoever minds clips it.
    """
    centre = share + z**2 / (2 * count)
    reach = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    scale = 1 + z**2 / count
    return (centre - reach) / scale, (centre + reach) / scale
