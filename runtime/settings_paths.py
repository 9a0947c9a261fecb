"""[paths]: what users do next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Section


class Paths(Section):
    """`per`: a path ends with the "session" (after features.session_gap_minutes of silence) or
    goes on for the "user". `steps`: how many events it has at most. `top`: how many kinds of
    events are told apart, the rest being pooled."""

    per: Literal["session", "user"] = "session"
    steps: int = Field(default=5, ge=1, le=20)
    top: int = Field(default=10, ge=1, le=100)
    exclude: tuple[str, ...] = ()
