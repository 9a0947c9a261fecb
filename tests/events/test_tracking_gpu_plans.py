"""Every plan of tracking translates wholly to cuDF, in an environment that has it."""

from __future__ import annotations

import pytest
from gpu_python import translated


@pytest.mark.gpu_plans
def test_every_plan_translates_to_cudf() -> None:
    found = translated("tracking_translate.py")
    assert found["failed"] == {}
    assert found["plans"] == 5
