"""What active, eligible, churn and value mean, as marks on the rows of a log.

Features, eligibility and labels are all computed from these marks, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from events.activity import is_active
from runtime.settings import Activity, Churn, Eligible, Settings, Value

# Amounts beyond it are taken as this much: sums of them still fit the 32-bit floats of a model.
LARGEST_AMOUNT = 1e30


@dataclass(frozen=True)
class Definitions:
    """The sections of holdfast.toml that say what a user's behaviour means."""

    activity: Activity
    eligible: Eligible
    churn: Churn
    value: Value

    @staticmethod
    def of(settings: Settings) -> Definitions:
        return Definitions(settings.activity, settings.eligible, settings.churn, settings.value)

    @property
    def all_active(self) -> bool:
        """Whether every event counts as activity."""
        return self.activity.events is None and not self.activity.exclude

    @property
    def value_horizon_days(self) -> int:
        return self.value.horizon_days or self.churn.horizon_days

    def to_dict(self) -> dict[str, Any]:
        sections = ("activity", "eligible", "churn", "value")
        return {name: getattr(self, name).model_dump(mode="json") for name in sections}

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> Definitions:
        return Definitions(
            Activity.model_validate(raw["activity"]),
            Eligible.model_validate(raw["eligible"]),
            Churn.model_validate(raw["churn"]),
            Value.model_validate(raw["value"]),
        )


def value_amount(value: Value) -> pl.Expr:
    """The amount of a row that counts toward value, null elsewhere."""
    if value.events is None:
        return any_amount()
    return pl.when(pl.col("event").is_in(list(value.events))).then(any_amount())


def any_amount() -> pl.Expr:
    """The amount of a row, whether it counts toward value or not: a price that was looked at."""
    return pl.col("amount").clip(-LARGEST_AMOUNT, LARGEST_AMOUNT)


def ends(churn: Churn) -> pl.Expr:
    """Whether a row is one of `churn.events`: a cancellation, or under 'lapse' a renewal."""
    if not churn.events:
        return pl.lit(value=False)
    return pl.col("event").is_in(list(churn.events))


def marked(events: pl.LazyFrame, definitions: Definitions) -> pl.LazyFrame:
    """The rows with `active`, `ends` (never null), `amount` null where it is no value, and `price`,
    any amount."""
    return events.with_columns(
        price=any_amount(),
        active=is_active(definitions.activity),
        ends=ends(definitions.churn),
        amount=value_amount(definitions.value),
    )
