"""Frequency and monetary value: what the rows with an amount say."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, column, count, days_before, in_window, ratio
from features.spec import FeatureSpec
from features.time import Cutoff, Window

NEVER = "never bought"
PURCHASES = "{} [purchase|purchases]"


def money(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Counts and sums of purchases: value events that carry an amount. None without amounts."""
    if not spec.has_amount:
        return Family()
    paid = pl.col("amount").is_not_null()
    sums = {
        "last_purchase": pl.when(paid).then(pl.col("ts")).max(),
        "first_purchase": pl.when(paid).then(pl.col("ts")).min(),
        "purchases": count(paid),
        "amount": pl.col("amount").sum(),
        "amount_max": pl.col("amount").max(),
        "amount_deviation": pl.col("amount").std(),
    }
    columns = _ever(cutoff)
    for window in spec.windows:
        inside = in_window(cutoff, window)
        sums[f"purchases_{window}"] = count(paid & inside)
        sums[f"amount_{window}"] = pl.when(inside).then(pl.col("amount")).sum()
        columns += _windowed(window)
    return Family(sums, tuple(columns))


def _ever(cutoff: Cutoff) -> list[Column]:
    purchases = pl.col("purchases")
    return [
        column(
            "purchase_recency_days",
            "days",
            "time since the last purchase",
            "last bought {} ago",
            days_before(cutoff, "last_purchase"),
            missing=NEVER,
        ),
        column(
            "purchase_tenure_days",
            "days",
            "time since the first purchase",
            "first bought {} ago",
            days_before(cutoff, "first_purchase"),
            missing=NEVER,
        ),
        column("purchases_total", "count", "purchases ever", f"{PURCHASES} in all", purchases),
        column("amount_total", "money", "amounts ever", "{} spent in all", pl.col("amount")),
        column(
            "amount_mean",
            "money",
            "mean amount of a purchase",
            "{} a purchase",
            ratio(pl.col("amount"), purchases),
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
            pl.col("amount_deviation"),
            missing="bought less than twice",
        ),
    ]


def _windowed(window: Window) -> list[Column]:
    last = f"in the last {window.days} days"
    purchases, amount = pl.col(f"purchases_{window}"), pl.col(f"amount_{window}")
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
