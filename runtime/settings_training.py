"""How models are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Days, ModelName, Section


class Training(Section):
    """`every_days`: distance of training cutoffs; default the horizon, at most 30 days.
    `rows`: the most that a training reads, a user at a cutoff each; beyond, a sample of the users.
    `min_history_days`: history a cutoff needs before it; default half the horizon. `steps`: how
    many the horizon is cut into, each with labels of its own; 1 for the horizon alone; default: 1
    where labels of the horizon have matured, else 6. `minutes`: after them the model "auto" begins
    no further one. `level`: "none" leaves churn's calibration at its newest labels, "auto" carries
    it to the present by what is known since."""

    model: ModelName = "auto"
    minutes: float = Field(default=30, gt=0)
    steps: int | None = Field(default=None, ge=1, le=60)
    cutoffs: int = Field(default=12, ge=1, le=1000)
    rows: int = Field(default=500_000, ge=1)
    every_days: Days | None = None
    min_history_days: Days | None = None
    bootstrap: int = Field(default=200, ge=0, le=10000)
    seed: int = 0
    level: Literal["auto", "none"] = "auto"
