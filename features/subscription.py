"""Subscriptions and troubles: the place in the renewal cycle, failed payments, support contacts."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column, days_since, last_days, ratio, within
from features.spec import FeatureSpec

ROLES = {"failed_payment": "failed payment", "support": "support contact"}


def subscription(spec: FeatureSpec) -> Family:
    """Where churn is a lapse: renewals and the place in the period; where it is an act: how
    often the user has left before and come back."""
    churn = spec.definitions.churn
    if churn.kind == "passive" or not churn.events:
        return Family()
    measures = {
        "endings": Measure("events", pl.col("ends")),
        "last_end": Measure("events", pl.col("ends"), "latest"),
    }
    return Family(measures, tuple(_cycle(spec) if churn.kind == "lapse" else _returns()))


def _cycle(spec: FeatureSpec) -> list[Column]:
    churn = spec.definitions.churn
    period = float(churn.period_days or 0)
    since = days_since("last_end")
    return [
        column(
            "renewals_total",
            "count",
            "renewals ever",
            "{} [renewal|renewals] in all",
            within("endings", None),
        ),
        column(
            "renewal_days_since",
            "days",
            "time since the last renewal",
            "last renewed {} ago",
            since,
            missing="never renewed",
        ),
        column(
            "cycle_position",
            "ratio",
            f"time since the last renewal by the period of {period:g} days",
            "at {} the paid period",
            since / period,
            missing="never renewed",
        ),
        column(
            "days_to_lapse",
            "days",
            "time until the paid period and its grace run out",
            "paid for another {}",
            period + churn.grace_days - since,
            missing="never renewed",
        ),
    ]


def _returns() -> list[Column]:
    return [
        column(
            "endings_total",
            "count",
            "cancellations ever, each followed by a return",
            "left and came back {} [time|times]",
            within("endings", None),
        ),
        column(
            "ending_days_since",
            "days",
            "time since the last cancellation",
            "last cancelled {} ago",
            days_since("last_end"),
            missing="never cancelled",
        ),
    ]


def troubles(spec: FeatureSpec) -> Family:
    """Counts and recency of the events that [features] names for a role."""
    measures: dict[str, Measure] = {}
    columns: list[Column] = []
    for role, events in spec.roles:
        mine = pl.col("event").is_in(list(events))
        measures[role] = Measure("events", mine)
        measures[f"{role}_last"] = Measure("events", mine, "latest")
        columns += _trouble(role, ROLES[role], spec)
    return Family(measures, tuple(columns))


def _trouble(role: str, noun: str, spec: FeatureSpec) -> list[Column]:
    counts = [
        column(
            f"{role}_{window or 'total'}",
            "count",
            f"{noun}s {last_days(window)}",
            f"{{}} [{noun}|{noun}s] {last_days(window)}",
            within(role, window),
            window,
        )
        for window in (None, *spec.windows)
    ]
    since = column(
        f"{role}_days_since",
        "days",
        f"time since the last {noun}",
        f"last {noun} {{}} ago",
        days_since(f"{role}_last"),
        missing=f"no {noun} ever",
    )
    share = column(
        f"{role}_per_active_day",
        "number",
        f"{noun}s by days with an activity",
        f"{{}} {noun}s on an active day",
        ratio(within(role, None), within("events", None) - within("same_day", None)),
    )
    return [*counts, since, share]
