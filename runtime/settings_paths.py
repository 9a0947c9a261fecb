"""[paths]: what users do next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Days, Section

MOST_STEPS = 20
MOST_NAMED = 100


class Paths(Section):
    """`per`: a path ends with the "session" (after features.session_gap_minutes of silence) or
    goes on for the "user"; default: the session, where the log has times of day. `steps`: how many
    events it has at most. `top`: how many kinds of events are told apart, the rest being pooled.
    `events`: the "active" ones of [activity], or "all". `exclude`: events that are no step, though
    they keep a session going. `collapse`: an event that repeats in a row is one step.

    Before churn: `before_days` is how far back before the cutoff paths are looked at,
    `least_users` how many must have gone a path, and how many not, for it to be compared, `share`
    the false discovery rate."""

    per: Literal["session", "user"] | None = None
    steps: int = Field(default=5, ge=1, le=MOST_STEPS)
    top: int = Field(default=10, ge=1, le=MOST_NAMED)
    events: Literal["active", "all"] = "active"
    exclude: tuple[str, ...] = ()
    collapse: bool = False
    before_days: Days = 30
    least_users: int = Field(default=30, ge=1)
    share: float = Field(default=0.05, gt=0, lt=1)
