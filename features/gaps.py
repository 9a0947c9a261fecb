"""The gaps between active days: their usual length, their rhythm, and the present silence."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column, days_since, ratio
from features.spec import FeatureSpec

ONCE = "active on one day only"
FEW = "too few active days for a rhythm"
STEPS = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 180, 365)
N, TOTAL = pl.col("gaps"), pl.col("gap_sum")


def gaps(spec: FeatureSpec) -> Family:
    """Calendar days from one active day to the next; null for who was active on one day."""
    gap, before = pl.col("gap").cast(pl.Int64), pl.col("gap_before").cast(pl.Int64)
    known = before.is_not_null()
    values = {
        "gaps": gap.is_not_null(),
        "gap_sum": gap,
        "gap_squares": gap * gap,
        "pairs": known,
        "pair_later": pl.when(known).then(gap),
        "pair_earlier": before,
        "pair_later_squares": pl.when(known).then(gap * gap),
        "pair_earlier_squares": before * before,
        "pair_products": before * gap,
    } | {f"gaps_to_{step}": gap <= step for step in STEPS}
    measures = {name: Measure("days", value) for name, value in values.items()}
    measures |= {
        "gap_max": Measure("days", gap, "max"),
        "gap_last": Measure("days", pl.col("gap"), "last"),  # cuDF has last() of columns only
        "streak_max": Measure("days", pl.col("streak"), "max"),
        "streak_last": Measure("days", pl.col("streak"), "last"),
    }
    return Family(measures, (*_usual(), *_rhythm(), *_present(), *_streaks()))


def _variance() -> pl.Expr:
    """Of the sample (n - 1), from whole numbers: the same in any order."""
    squares = (N * pl.col("gap_squares") - TOTAL * TOTAL).cast(pl.Float64)
    return pl.when(N > 1).then(squares / (N * (N - 1)))


def _usual() -> list[Column]:
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
            _variance().sqrt(),
            missing=FEW,
        ),
        column(
            "gap_max_days",
            "days",
            "longest time from one active day to the next",
            "at most {} between active days so far",
            pl.col("gap_max"),
            missing=ONCE,
        ),
        column(
            "gap_last_days",
            "days",
            "time between the last two active days",
            "{} between the last two active days",
            pl.col("gap_last"),
            missing=ONCE,
        ),
    ]


def _rhythm() -> list[Column]:
    mean, deviation = TOTAL / N, _variance().sqrt()
    n = pl.col("pairs")
    both = n * pl.col("pair_products") - pl.col("pair_earlier") * pl.col("pair_later")
    spread = [
        # Not pow(2): cuDF's takes whole numbers through floating point, and loses one of them.
        (
            n * pl.col(f"pair_{which}_squares") - pl.col(f"pair_{which}") * pl.col(f"pair_{which}")
        ).cast(pl.Float64)
        for which in ("earlier", "later")
    ]
    product = spread[0] * spread[1]
    return [
        column(
            "gap_burstiness",
            "number",
            "(deviation - mean) / (deviation + mean) of the gaps: -1 regular, 0 random, "
            "towards 1 in bursts (Goh and Barabási 2008)",
            "burstiness of activity {}",
            ratio(deviation - mean, deviation + mean),
            missing=FEW,
        ),
        column(
            "gap_memory",
            "number",
            "correlation of each gap with the gap before (Goh and Barabási 2008)",
            "gaps resemble the gap before by {}",
            pl.when(product > 0).then(both / product.sqrt()),
            missing=FEW,
        ),
    ]


def _present() -> list[Column]:
    silence = days_since("last_active")
    shorter = pl.lit(0, dtype=pl.Int64)
    for step in STEPS:
        shorter = pl.when(silence >= step).then(pl.col(f"gaps_to_{step}")).otherwise(shorter)
    steps = ", ".join(map(str, STEPS))
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
            ratio(silence, pl.col("gap_max")),
            missing=ONCE,
        ),
        column(
            "gap_now_quantile",
            "share",
            f"share of the gaps no longer than the present silence, in steps of {steps} days",
            "{} of the gaps were no longer than the present silence",
            ratio(shorter, N),
            missing=ONCE,
        ),
    ]


def _streaks() -> list[Column]:
    return [
        column(
            "streak_max_days",
            "count",
            "most active days in a row",
            "at most {} active [day|days] in a row",
            pl.col("streak_max"),
        ),
        column(
            "streak_last_days",
            "count",
            "active days in a row up to the last active day",
            "{} active [day|days] in a row at last",
            pl.col("streak_last"),
        ),
    ]
