"""The plan of histories translates wholly to cuDF, in an environment that has it."""

from __future__ import annotations

import pytest
from gpu_python import translated


@pytest.mark.gpu_plans
def test_the_plan_of_histories_translates_to_cudf() -> None:
    found = translated("buying_translate.py")
    assert found["noticed"], "the check does not notice what cuDF cannot do"
    assert found["failed"] == {}
    assert found["plans"] == 9
