"""Tasks carried out by threads of this process: numpy and Polars let go of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from runtime.progress import say
from runtime.task import Task


def available_cores() -> int:
    """The cores that this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out_here(
    task: Task, keys: Sequence[Any], done: Callable[[], None], threads: int | None
) -> None:
    """Calls `done` in the caller's thread after each key. Memory: `threads` keys at a time.

    The first failure is raised; what runs beside it is still finished, so that it need not be
    done again. So it is after Ctrl-C, as threads cannot be cut off and none is left behind; a
    query in the middle of which Polars breaks off itself is done again by the next run.
    """
    threads = min(threads or available_cores(), len(keys))
    if threads == 1:
        for key in keys:
            task.carry_out(key)
            done()
        return
    with ThreadPoolExecutor(threads, "holdfast") as pool:
        try:
            for future in as_completed([pool.submit(task.carry_out, key) for key in keys]):
                future.result()
                done()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                say(f"{task.label}: interrupted; finishing the {task.unit}s that are under way")
            raise
