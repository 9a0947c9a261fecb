"""One piece of mapped work: a file for each key, whole or absent, tried twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import BucketError, HoldfastError, from_foreign
from runtime.files import write_atomic

TRIES = 2

_here = threading.local()


@dataclass(frozen=True)
class Task:
    """`work` is given a key (an int or a str) and a path to write to; the file then stands at
    `path(key)`. `label` and `unit` are for people: "snapshots: bucket 3"."""

    work: Callable[[Any, Path], None]
    staging: Path
    suffix: str
    label: str
    unit: str

    def path(self, key: int | str) -> Path:
        name = f"{key:05d}" if isinstance(key, int) else key
        return self.staging / f"{name}{self.suffix}"

    def called(self, key: int | str) -> str:
        return f"{self.label}: {self.unit} {key}"

    def carry_out(self, key: int | str) -> None:
        """Writes the key's file, unless it is there: a cluster that loses a worker may ask again
        for what that worker had finished.

        Raises the work's own HoldfastError at once, OutputError for a full or read-only disk,
        and BucketError where anything else fails TRIES times.
        """
        if self.path(key).exists():
            return
        for attempt in range(1, TRIES + 1):
            try:
                self._write(key)
                return
            except HoldfastError:
                raise
            except Exception as error:
                if known := from_foreign(error, self.called(key)):
                    raise known from error
                if attempt == TRIES:
                    raise BucketError(
                        f"{self.called(key)} failed {TRIES} times: {error}; finished "
                        f"{self.unit}s are kept, run again to go on"
                    ) from error

    def _write(self, key: int | str) -> None:
        outer, _here.at_work = at_work(), True
        try:
            write_atomic(self.path(key), lambda draft: self.work(key, draft))
        finally:
            _here.at_work = outer


def at_work() -> bool:
    """Whether this thread is in the middle of a task: what it maps in turn it maps by itself."""
    return getattr(_here, "at_work", False)
