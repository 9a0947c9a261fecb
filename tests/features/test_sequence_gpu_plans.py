"""Every sequence plan translates wholly to cuDF, in an environment that has it."""

from __future__ import annotations

import pytest
from gpu_python import translated


@pytest.mark.gpu_plans
def test_every_sequence_plan_translates_to_cudf() -> None:
    found = translated("sequences_translate.py")
    assert found["noticed"], "the check does not notice what cuDF cannot do"
    assert found["failed"] == {}
    assert found["plans"] > 50
