"""The interpreter that has the [gpu] extra, in an environment of its own.

Named by HOLDFAST_GPU_PYTHON or at .venv-gpu (`make gpu-env`); it needs no GPU and no driver, as
plans are translated and not run.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def gpu_python() -> str:
    named = os.environ.get("HOLDFAST_GPU_PYTHON")
    found = Path(named) if named else ROOT / ".venv-gpu" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"no interpreter with the [gpu] extra at {found}; run 'make gpu-env'")
    return str(found)


def translated(script: str) -> dict[str, Any]:
    """What a script of tests/oracles prints when that interpreter runs it."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [gpu_python(), str(ROOT / "tests" / "oracles" / script)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "RAPIDS_NO_INITIALIZE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
