"""Every plan of this floor translates wholly to cuDF, in an environment that has it."""

from __future__ import annotations

import pytest
from gpu_python import translated


@pytest.mark.gpu_plans
def test_every_plan_translates_to_cudf() -> None:
    for script, least in (("retention_cohorts_translate.py", 200), ("retention_translate.py", 2)):
        found = translated(script)
        assert found["failed"] == {}
        assert found["plans"] > least
        assert found.get("noticed", True)
