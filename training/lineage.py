"""Which code, which process: what a run needs so that it can be made again."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
from pathlib import Path

PROCESS = "holdfast.process"
NEEDED = ("numpy", "polars", "pydantic", "scikit-learn", "xgboost")


def code_version() -> dict[str, str]:
    """The package's version, and the commit where the code lies in a git checkout."""
    found = {"code_version": importlib.metadata.version("holdfast")}
    root = Path(__file__).parents[1]
    if (root / ".git").exists() and (commit := _git(root, "rev-parse", "HEAD")):
        found["code_commit"] = commit
        found["code_changed"] = str(bool(_git(root, "status", "--porcelain", "-uno"))).lower()
    return found


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def requirements() -> list[str]:
    """What the logged model needs, pinned to what it was fitted with."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in ("holdfast", *NEEDED)]


def this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def is_alive(process: str) -> bool:
    """Whether a `this_process()` still runs; taken as alive on another machine."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
