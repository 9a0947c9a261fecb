"""[[funnel]]: steps that users are to go through, by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Section


class Funnel(Section):
    """`steps`: each an event's name, "a|b" for either, or a list of names as they are.

    `within_days`: the conversion window, from the first step. `order`: "sequential" (other events
    may lie between), "strict" (none may) or "any". `exclude`: events that break an attempt;
    "EVENT:2-3" only between these steps. `hold`: a property that is the same on every step. `by`:
    what the funnel is broken down by, its `top` values apart and the rest together.
    """

    name: str = Field(min_length=1)
    steps: tuple[str | tuple[str, ...], ...]
    within_days: float = Field(default=7, gt=0, le=3650)
    order: Literal["sequential", "strict", "any"] = "sequential"
    exclude: tuple[str, ...] = ()
    hold: str | None = None
    by: str | None = None
    top: int = Field(default=5, ge=1, le=1000)
