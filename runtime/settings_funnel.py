"""[[funnel]]: steps that users are to go through, by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Section


class Funnel(Section):
    """`order`: "sequential" (other events may lie between), "strict" (none may) or "any".
    `exclude`: events that break an attempt. `hold`: a property that is the same on every step."""

    name: str
    steps: tuple[str, ...]
    within_days: float = Field(default=7, gt=0)
    order: Literal["sequential", "strict", "any"] = "sequential"
    exclude: tuple[str, ...] = ()
    hold: str | None = None
    by: str | None = None
