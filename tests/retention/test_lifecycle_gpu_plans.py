"""Every plan of activity, RFM, layers and movements translates wholly to cuDF."""

from __future__ import annotations

import pytest
from gpu_python import translated


@pytest.mark.gpu_plans
def test_every_plan_translates_to_cudf() -> None:
    found = translated("lifecycle_translate.py")
    assert found["failed"] == {}
    assert found["plans"] > 90
