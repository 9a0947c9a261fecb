"""[early]: first days, and what it means to stay and to pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from runtime.errors import UsageError
from runtime.settings_base import Days, Section
from runtime.settings_words import in_words

Count = Annotated[int, Field(ge=1, le=10_000)]


class Early(Section):
    """`first_days`: in how many days from the first event behaviour is looked at. `counts`: how
    often it must be done. `properties`: of events, whose values are looked at too.

    `stay_days`: who is active within `churn.horizon_days` from that day on has stayed.
    `pay_days`: who pays after the first days and before that day has paid; by default when the
    window of staying ends. `pay_events`: count as paying, with an amount or without.

    `least_users`: with the behaviour, and without it, below which it is not looked at. `search`:
    the share of users, by first event, that candidates are searched on. `share`: the false
    discovery rate."""

    first_days: tuple[Days, ...] = Field(default=(1, 3, 7), min_length=1, max_length=12)
    counts: tuple[Count, ...] = Field(default=(1, 2, 3, 5, 8, 13), min_length=1, max_length=20)
    properties: tuple[str, ...] = ()
    stay_days: Days = 30
    pay_days: Days | None = None
    pay_events: tuple[str, ...] = ()
    least_users: int = Field(default=30, ge=1)
    search: float = Field(default=0.5, gt=0, lt=1)
    share: float = Field(default=0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for name in ("first_days", "counts"):
            found = getattr(self, name)
            if list(found) != sorted(set(found)):
                raise ValueError(f"{name} must rise; found {', '.join(map(str, found))}")
        last = self.first_days[-1]
        if last > self.stay_days:
            raise ValueError(
                f"first_days {last} lies after stay_days {self.stay_days}: who is active then "
                "would mark himself; choose fewer first days or a later stay_days"
            )
        if self.pay_days is not None and self.pay_days <= last:
            raise ValueError(
                f"pay_days {self.pay_days} is not after first_days {last}: nobody could pay in "
                "between; choose a later pay_days"
            )
        return self


def changed(early: Early, options: Mapping[str, Any]) -> Early:
    """The section with a command's options in place of what it says; those that are None are
    not given. Numbers may come as text, "1,3,7". Raises UsageError."""
    given = {name: _numbers(name, value) for name, value in options.items() if value is not None}
    try:
        return Early.model_validate(early.model_dump() | given)
    except ValidationError as error:
        raise UsageError(f"early markers: {in_words(error, Early)}") from None


def _numbers(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise UsageError(
            f"early markers: {name} '{value}' is no list of whole numbers; write 1,3,7"
        ) from None
