"""Runs a Holdfast command in a process of its own and kills it at a given moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


def command(*arguments: str) -> list[str]:
    code = "import sys; from holdfast.cli import run; sys.exit(run(sys.argv[1:]))"
    return [sys.executable, "-c", code, *arguments]


def undisturbed(*arguments: str) -> float:
    """Runs to the end; returns the seconds it took."""
    started = time.monotonic()
    subprocess.run(command(*arguments), check=True, capture_output=True)
    return time.monotonic() - started


def killed(after_seconds: float, *arguments: str) -> bool:
    """SIGKILL to the whole process group; whether it was still running then."""
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(after_seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
