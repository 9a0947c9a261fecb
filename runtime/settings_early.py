"""[early]: first days, and what it means to stay and to pay."""

from __future__ import annotations

from pydantic import Field

from runtime.settings_base import Days, Section


class Early(Section):
    """`first_days`: after how many days from the first event behaviour is looked at. `stay_days`:
    a user who is active on or after that day has stayed. `share`: the false discovery rate."""

    first_days: tuple[Days, ...] = (1, 3, 7)
    stay_days: Days = 30
    share: float = Field(default=0.05, gt=0, lt=1)
