"""Features of a user's own, from a Python file, as something to check for leaks."""

from __future__ import annotations

import runpy
from pathlib import Path

import polars as pl

from features.leakcheck import Compute
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import InputError

CPU = Device("cpu", "a look for leaks")
NAME = "compute"


def own(path: Path) -> Compute:
    """The file's `compute(events, users, cutoff)`, which returns a frame with a row a user_id.

    `events` and `users` (None without a users table) are lazy, `cutoff` is a datetime in UTC.
    Raises InputError where the file or the function is not there.
    """
    try:
        found = runpy.run_path(str(path)).get(NAME)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; name the file that holds your features") from None
    except Exception as error:
        raise InputError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise InputError(f"{path}: has no function '{NAME}'; write {NAME}(events, users, cutoff)")

    def compute(events: pl.LazyFrame, users: pl.LazyFrame | None, cutoff: Cutoff) -> pl.DataFrame:
        frame = found(events, users, cutoff.at)
        if isinstance(frame, pl.LazyFrame):
            frame = collect(frame, CPU)
        if not isinstance(frame, pl.DataFrame):
            kind = type(frame).__name__
            raise InputError(f"{path}: {NAME} returned a {kind}; return a Polars frame")
        return frame

    return compute
