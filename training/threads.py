"""How many threads the numerical libraries may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

WORTH_SHARING = 250_000  # numbers in a matrix


def cores(x: npt.NDArray[np.float32]) -> int:
    """The cores this process may use for a matrix; one where the work is too small to share."""
    if x.size < WORTH_SHARING:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread: its threads spin too, and how it shares a sum changes the last digit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield
