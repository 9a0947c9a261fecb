"""A clock that stops while a model is checked: seconds on the wall, and of processor time."""

from __future__ import annotations

import time


class Clock:
    """Of processor time the process and its threads; it says more on a busy machine."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.seconds, self.cpu_seconds = 0.0, 0.0
        self.go_on()

    def go_on(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.seconds += time.perf_counter() - self._wall
        self.cpu_seconds += time.process_time() - self._cpu

    def read(self) -> dict[str, float]:
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
