"""[retention]: from where users are counted, in which periods, and by what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Section


class Retention(Section):
    """`anchor`: a user's "first" event ever, the "first_in_range", or "every" one (recurring).
    `clock`: "calendar" periods of the project's time zone, or "elapsed" ones of 24 hours from the
    anchor. `brackets`: periods a to b after the anchor, both in it."""

    anchor: Literal["first", "first_in_range", "every"] = "first"
    clock: Literal["calendar", "elapsed"] = "calendar"
    mode: Literal["bracket", "nday", "rolling"] = "bracket"
    period: Literal["day", "week", "month"] = "week"
    periods: int | None = Field(default=None, ge=0, le=3660)
    brackets: tuple[tuple[int, int], ...] | None = None
