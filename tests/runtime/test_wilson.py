"""One interval of a share, of numbers, arrays and expressions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from runtime.wilson import wilson


@given(st.integers(0, 500), st.integers(1, 500))
def test_it_is_scipy_s_whatever_it_is_asked_of(hits: int, more: int) -> None:
    count = hits + more
    theirs = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    expected = pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson(hits / count, count) == expected
    low, high = wilson(np.array([hits / count]), np.array([float(count)]))
    assert (low[0], high[0]) == expected
    frame = pl.DataFrame({"share": [hits / count], "count": [float(count)]})
    low, high = wilson(pl.col("share"), pl.col("count"))
    assert frame.select(low=low, high=high).row(0) == expected
