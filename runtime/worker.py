"""What runs in a worker of a cluster. Speaks no Dask: it is handed a file that holds the task.

The task travels as a file in the staging folder and not in the messages: a model or a long list
of files is written once, read once by each worker, and survives the loss of any of them.
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import signal
import sys
from functools import lru_cache
from pathlib import Path

from runtime.errors import BucketError, HoldfastError
from runtime.files import digest_file, digest_of
from runtime.task import Task

STANDARD_OUTPUT = 1  # its file descriptor

# Only named, not imported: the folders whose text decides what a worker computes.
PACKAGES = ("runtime", "events", "features", "retention", "training", "serving", "holdfast")


def dask_setup(_: object) -> None:
    """Called as a local worker starts, which shares the command's terminal.

    Ctrl-C is for the command, which ends its workers; and only the command speaks on standard
    output.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), STANDARD_OUTPUT)


def carry_out(order: str, key: int | str, folder: str) -> None:
    """Does one key of the task pickled at `order`, and returns nothing: what a worker returns
    lies in its memory, and is lost or waited for when it dies. Raises HoldfastError.

    Works in `folder`, where the command was called, as paths in the settings may be relative to
    it.
    """
    os.chdir(folder)
    try:
        _task(order).carry_out(key)
    except HoldfastError as error:
        raise portable(error) from None


@lru_cache(maxsize=1)
def _task(order: str) -> Task:
    task: Task = pickle.loads(Path(order).read_bytes())
    return task


def portable(error: HoldfastError) -> HoldfastError:
    """The same error without its causes, which may be of classes that do not travel."""
    try:
        return type(error)(str(error))
    except TypeError:  # a class that wants more than a line
        return BucketError(str(error))


def fingerprint() -> str:
    """What two processes must share to compute the same: the version and text of our packages
    and the version of Polars. One line."""
    root = Path(__file__).parents[1]
    texts = [path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))]
    code = digest_of([[path.relative_to(root).as_posix(), digest_file(path)] for path in texts], 8)
    versions = {name: importlib.metadata.version(name) for name in ("holdfast", "polars")}
    return f"Holdfast {versions['holdfast']} (code {code}) with Polars {versions['polars']}"
