"""Training that is killed and run again ends with the same weights, to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]


def kills(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    done = subprocess.run(
        [sys.executable, str(TESTS / "killed_training.py"), str(folder), str(count), str(seed)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
        text=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("count", "seed"), [(3, 11), pytest.param(20, 12, marks=pytest.mark.slow)])
def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, count: int, seed: int
) -> None:
    found = kills(tmp_path, count, seed)
    assert len(found) == count
    assert all(kill["equal"] and not kill["drafts"] for kill in found), found
    assert any(kill["killed"] and max(kill["steps"]) > 0 for kill in found), found
