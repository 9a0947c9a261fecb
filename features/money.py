"""Frequency and monetary value: what the rows with an amount say."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column, days_since, last_days, ratio, within
from features.measure import DAY_US, ROW
from features.spec import FeatureSpec
from features.time import Window

NEVER = "never bought"
TWICE = "bought less than twice"
ONE_DAY = "bought on one day at most"
PURCHASES = "{} [purchase|purchases]"


def money(spec: FeatureSpec) -> Family:
    """Counts and sums of purchases: value events that carry an amount. None without amounts."""
    if not spec.has_amount:
        return Family()
    amount = pl.col("amount")
    # Deviations from a user's own first amount: equal amounts leave exactly nothing.
    off = amount - pl.col("first_amount")
    measures = {
        "first_purchase": Measure("purchases", ROW, "first"),
        "last_purchase": Measure("purchases", ROW, "latest"),
        "purchases": Measure("purchases", ROW),
        "purchase_days": Measure("purchases", pl.col("opens")),
        "refunds": Measure("purchases", amount < 0),
        "amount": Measure("purchases", amount, real=True),
        "amount_off": Measure("purchases", off, real=True),
        "amount_off_squares": Measure("purchases", off * off, real=True),
        "amount_max": Measure("purchases", amount, "max", real=True),
        "amount_last": Measure("purchases", amount, "last", real=True),
    }
    columns = [*_when(), *_how_much(), *_habit()]
    for window in spec.windows:
        columns += _windowed(window)
    return Family(measures, tuple(columns))


def _when() -> list[Column]:
    return [
        column(
            "purchase_recency_days",
            "days",
            "time since the last purchase",
            "last bought {} ago",
            days_since("last_purchase"),
            missing=NEVER,
        ),
        column(
            "purchase_tenure_days",
            "days",
            "time since the first purchase",
            "first bought {} ago",
            days_since("first_purchase"),
            missing=NEVER,
        ),
        column(
            "purchases_total",
            "count",
            "purchases ever",
            f"{PURCHASES} in all",
            within("purchases", None),
        ),
    ]


def _how_much() -> list[Column]:
    n, amount = pl.col("purchases"), pl.col("amount")
    spread = pl.col("amount_off_squares") - pl.col("amount_off") * pl.col("amount_off") / n
    deviation = pl.when(n > 1).then((pl.max_horizontal(spread, 0.0) / (n - 1)).sqrt())
    return [
        column("amount_total", "money", "amounts ever", "{} spent in all", amount),
        column(
            "amount_mean",
            "money",
            "mean amount of a purchase",
            "{} a purchase",
            ratio(amount, n),
            missing=NEVER,
        ),
        column(
            "amount_max",
            "money",
            "largest amount of a purchase",
            "{} at most in one purchase",
            pl.col("amount_max"),
            missing=NEVER,
        ),
        column(
            "amount_deviation",
            "money",
            "standard deviation of the amounts of purchases",
            "amounts vary by {}",
            deviation,
            missing=TWICE,
        ),
        column(
            "amount_last",
            "money",
            "amount of the last purchase",
            "{} in the last purchase",
            pl.col("amount_last"),
            missing=NEVER,
        ),
    ]


def _habit() -> list[Column]:
    n, days = pl.col("purchases"), pl.col("purchase_days")
    span = (pl.col("last_purchase") - pl.col("first_purchase")).dt.total_microseconds() / DAY_US
    usual = pl.when(days > 1).then(span / (days - 1))
    return [
        column(
            "refund_share",
            "share",
            "purchases with a negative amount by all purchases",
            "{} of purchases given back",
            ratio(pl.col("refunds"), n),
            missing=NEVER,
        ),
        column(
            "purchase_gap_mean_days",
            "days",
            "usual time from one day with a purchase to the next",
            "usually buys every {}",
            usual,
            missing=ONE_DAY,
        ),
        column(
            "purchase_gap_now_over_mean",
            "ratio",
            "time since the last purchase by the usual time between days with one",
            "no purchase for {} the usual time",
            ratio(days_since("last_purchase"), usual),
            missing=ONE_DAY,
        ),
        column(
            "purchases_per_active_day",
            "number",
            "purchases by days with an activity",
            f"{PURCHASES} on an active day",
            n / (within("events", None) - within("same_day", None)),
        ),
    ]


def _windowed(window: Window) -> list[Column]:
    last = last_days(window)
    purchases, amount = within("purchases", window), within("amount", window)
    return [
        column(
            f"purchases_{window}",
            "count",
            f"purchases {last}",
            f"{PURCHASES} {last}",
            purchases,
            window,
        ),
        column(
            f"amount_{window}", "money", f"amounts {last}", f"{{}} spent {last}", amount, window
        ),
        column(
            f"amount_mean_{window}",
            "money",
            f"mean amount of a purchase {last}",
            f"{{}} a purchase {last}",
            ratio(amount, purchases),
            window,
            missing=f"bought nothing {last}",
        ),
    ]
