"""[retention]: from where users are counted, in which periods, and by what."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from runtime.settings_base import Days, Section

_WORDS = ("first", "first_in_range", "every")


class Retention(Section):
    """What every option of `holdfast retention` is where the call leaves it out.

    `anchor`: a user's "first" event ever, the "first_in_range", "every" one (recurring), or a date
    for everyone eligible on it. `start`: the events that anchor, any when left out. `back`: the
    events that count as coming back, those of [activity] when left out. `clock`: "calendar"
    periods of the project's time zone, or "elapsed" ones of 24 hours from the anchor. `brackets`:
    periods a to b after the anchor, both in it. `cohort`: the period users are grouped by,
    `period` when left out. `by`: a column of the log, an attribute or a property; the `top` values
    are told apart. `did`: users who did it `at_least` times in their `in_first_days` days beside
    those who did not. `measure`: what of them is counted.
    """

    anchor: str = "first"
    clock: Literal["calendar", "elapsed"] = "calendar"
    mode: Literal["bracket", "nday", "rolling"] = "bracket"
    period: Literal["day", "week", "month"] = "week"
    periods: int | None = Field(default=None, ge=0, le=3660)
    brackets: tuple[tuple[int, int], ...] | None = None
    cohort: Literal["day", "week", "month"] | None = None
    since: str | None = None
    until: str | None = None
    start: tuple[str, ...] | None = None
    back: tuple[str, ...] | None = None
    by: str | None = None
    top: int = Field(default=10, ge=1, le=1000)
    did: str | None = None
    at_least: int = Field(default=1, ge=1)
    in_first_days: Days = 7
    measure: Literal["users", "payers", "revenue", "arpu", "cumulative"] = "users"

    @field_validator("anchor")
    @classmethod
    def _a_word_or_a_date(cls, anchor: str) -> str:
        if anchor not in _WORDS:
            _read_date(anchor, f"is none of {', '.join(_WORDS)} and no date")
        return anchor

    @field_validator("since", "until")
    @classmethod
    def _a_date(cls, day: str | None) -> str | None:
        if day is not None:
            _read_date(day, "is no date; write one like 2024-01-31")
        return day

    @model_validator(mode="after")
    def _one_grouping(self) -> Self:
        if self.by is not None and self.did is not None:
            raise ValueError("'by' and 'did' both group the users; keep one of them")
        return self


def _read_date(text: str, fault: str) -> None:
    try:
        date.fromisoformat(text) if len(text) <= len("2024-01-31") else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(fault) from None
