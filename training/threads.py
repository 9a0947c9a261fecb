"""How many threads the numerical libraries may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from runtime.pool import available_cores

WORTH_SHARING = 250_000  # numbers in a matrix


def cores(x: npt.NDArray[np.float32]) -> int:
    """The cores this process may use for a matrix; one where the work is too small to share.

    OMP_NUM_THREADS holds, which the workers of a cluster are given so that they share the cores:
    threads that wait for one another on too few cores take many times as long.
    """
    if x.size < WORTH_SHARING:
        return 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    most = int(asked) if asked.isdigit() and int(asked) > 0 else available_cores()
    return min(most, available_cores())


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread: its threads spin too, and how it shares a sum changes the last digit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield
