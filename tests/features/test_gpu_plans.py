"""Every feature and label plan translates wholly to cuDF, in an environment that has it.

The environment is one of its own, named by HOLDFAST_GPU_PYTHON or at .venv-gpu; it needs no
GPU and no driver, as nothing is run.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "oracles" / "features_translate.py"


def gpu_python() -> str:
    named = os.environ.get("HOLDFAST_GPU_PYTHON")
    found = Path(named) if named else ROOT / ".venv-gpu" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"no interpreter with the [gpu] extra at {found}; set HOLDFAST_GPU_PYTHON")
    return str(found)


@pytest.mark.gpu_plans
def test_every_plan_translates_to_cudf() -> None:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [gpu_python(), str(SCRIPT)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["noticed"], "the check does not notice what cuDF cannot do"
    assert found["failed"] == {}
    assert found["plans"] > 100
