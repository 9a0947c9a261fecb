"""The gaps between active days, and how the present silence compares with them."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, column, count, days_before, ratio
from features.spec import FeatureSpec
from features.time import Cutoff

ONCE = "active on one day only"
N, TOTAL = pl.col("gaps"), pl.col("gap_sum")
LONGEST = pl.when(N > 0).then(pl.col("gap_max"))


def gaps(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Calendar days from one active day to the next; null for who was active on one day."""
    gap = pl.when(pl.col("day_gap") > 0).then(pl.col("day_gap").cast(pl.Int64)).otherwise(0)
    sums = {
        "gaps": count(pl.col("day_gap") > 0),
        "gap_sum": gap.sum(),
        "gap_squares": (gap * gap).sum(),
        "gap_max": gap.max(),
    }
    return Family(sums, (*_usual(), *_present(days_before(cutoff, "last_active"))))


def _usual() -> list[Column]:
    # From sums of whole numbers, so that the sample's deviation (n - 1) is the same in any order.
    squares = (N * pl.col("gap_squares") - TOTAL * TOTAL).cast(pl.Float64)
    deviation = pl.when(N > 1).then((squares / (N * (N - 1))).sqrt())
    return [
        column(
            "gap_mean_days",
            "days",
            "usual time from one active day to the next",
            "usually active every {}",
            ratio(TOTAL, N),
            missing=ONCE,
        ),
        column(
            "gap_deviation_days",
            "days",
            "standard deviation of the time from one active day to the next",
            "time between active days varies by {}",
            deviation,
            missing="too few active days for a rhythm",
        ),
        column(
            "gap_max_days",
            "days",
            "longest time from one active day to the next",
            "at most {} between active days so far",
            LONGEST,
            missing=ONCE,
        ),
    ]


def _present(silence: pl.Expr) -> list[Column]:
    return [
        column(
            "gap_now_over_mean",
            "ratio",
            "present silence by the usual time between active days",
            "silent for {} the usual gap",
            ratio(silence * N, TOTAL),
            missing=ONCE,
        ),
        column(
            "gap_now_over_max",
            "ratio",
            "present silence by the longest time between active days",
            "silent for {} the longest gap so far",
            ratio(silence, LONGEST),
            missing=ONCE,
        ),
    ]
