"""What counts as the user being active: one definition for labels, features and tables."""

from __future__ import annotations

import polars as pl

from runtime.settings import Activity


def is_active(activity: Activity) -> pl.Expr:
    """Whether a row of the log is an activity; never null, as every event has a name."""
    counts = pl.lit(value=True)
    if activity.events is not None:
        counts = pl.col("event").is_in(list(activity.events))
    if activity.exclude:
        counts &= ~pl.col("event").is_in(list(activity.exclude))
    return counts
