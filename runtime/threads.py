"""Work in threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_threads(
    work: Callable[[Item], Found], items: Iterable[Item], threads: int
) -> Iterator[Found]:
    """work(item) of every item, in order; no more than `threads` results wait to be taken.

    For work that leaves Python's lock alone: Polars, NumPy, hashes, files. What one raises is
    raised in its turn; those not yet begun are then dropped.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Found]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
