"""Whether the workers of somebody's cluster can do our work: same files, same code."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime import worker
from runtime.cluster_kinds import Kind
from runtime.errors import ClusterError
from runtime.files import make_folder

WORKERS_SECONDS = 10
POLL_SECONDS = 0.1


def require_workers(client: Any, kind: Kind) -> None:
    """Raises ClusterError where no worker reports within WORKERS_SECONDS."""
    until = time.monotonic() + WORKERS_SECONDS
    while not client.nthreads():
        if time.monotonic() > until:
            raise ClusterError(
                f"cluster {kind}: the scheduler has no worker; start some with 'dask worker {kind}'"
            )
        time.sleep(POLL_SECONDS)


def require_able(client: Any, kind: Kind, staging: Path) -> None:
    """Each worker must have our Python and our code, and read and write in `staging`.

    Raises ClusterError naming the first worker that does not.
    """
    _require_python(client, kind)
    token = uuid.uuid4().hex
    probe = make_folder(staging).absolute() / f".{token}.probe"
    probe.write_text(token)
    try:
        look = _look_from(str(probe), token, str(Path.cwd()))
        found = client.run(look, on_error="return")
    finally:
        for path in staging.glob(f".{token}*.probe"):
            path.unlink(missing_ok=True)
    ours = worker.fingerprint()
    for address, answer in sorted(found.items()):
        if answer != ours:
            raise ClusterError(f"cluster {kind}: worker {address} {_in_words(answer, ours)}")


def _require_python(client: Any, kind: Kind) -> None:
    """First, as code of one Python does not even load in another."""
    ours = ".".join(platform.python_version_tuple()[:2])
    for address, about in sorted(client.get_versions()["workers"].items()):
        theirs = ".".join(about["host"]["python"].split(".")[:2])
        if theirs != ours:
            raise ClusterError(
                f"cluster {kind}: worker {address} runs Python {theirs}, this is {ours}; start "
                f"it with Python {ours}"
            )


def _look_from(probe: str, token: str, folder: str) -> Callable[[], str]:
    """A function that needs nothing of ours to be loaded: it travels as its own text."""

    def look() -> str:
        import os
        import pathlib

        path = pathlib.Path(probe)
        try:
            if path.read_text() != token:
                return f"sees another file at {probe}; let it share this folder"
            path.with_name(f".{token}-{os.getpid()}.probe").write_text(token)
        except OSError as error:
            return f"cannot use {path.parent} ({error.strerror}); let it share this folder"
        if not pathlib.Path(folder).is_dir():  # relative paths are read from there
            return f"has no folder {folder}; call the command from one that it shares"
        try:
            from runtime.worker import fingerprint
        except Exception as error:
            return f"cannot import Holdfast ({type(error).__name__}: {error}); install it there"
        return fingerprint()

    return look


def _in_words(answer: Any, ours: str) -> str:
    if isinstance(answer, BaseException):
        return f"cannot be asked what it has ({type(answer).__name__}: {answer})"
    if answer.startswith("Holdfast "):
        return f"runs {answer}, this is {ours}; install the same there"
    return str(answer)
