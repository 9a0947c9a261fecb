"""Change: the recent rate against the rate before, and the last week against the first."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from features.family import Column, Family, column, count, in_window, ratio
from features.spec import FeatureSpec
from features.time import Cutoff, Window

WEEK = Window(7)
ROUNDING = 1e-9


def change(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Rates by day of neighbouring windows: `[t - w1, t)` over `[t - w2, t - w1)`.

    Null where the earlier span has nothing to compare with.
    """
    sums = {
        "first_week": count(pl.col("active") & pl.col("new")),
        "last_week": count(pl.col("active") & in_window(cutoff, WEEK)),
    }
    measures = {"events": "activity"} | ({"amount": "spending"} if spec.has_amount else {})
    columns = [
        _rates(measure, noun, recent, longer)
        for measure, noun in measures.items()
        for recent, longer in pairwise(spec.windows)
    ]
    return Family(sums, (*columns, *_weeks()))


def _rates(measure: str, noun: str, recent: Window, longer: Window) -> Column:
    prior_days = longer.days - recent.days
    now, both = pl.col(f"{measure}_{recent}"), pl.col(f"{measure}_{longer}")
    prior = both - now
    # A remainder that small is what rounding leaves where purchases and refunds cancel out.
    prior = pl.when(prior.abs() > ROUNDING * pl.max_horizontal(now.abs(), both.abs())).then(prior)
    spans = f"the last {recent.days} days against the {prior_days} before"
    return column(
        f"{measure}_change_{recent}_{longer}",
        "ratio",
        f"{noun} a day, {spans}",
        f"{noun} at {{}} its earlier rate ({spans})",
        ratio(now * prior_days, prior * recent.days),
        longer,
        missing=f"no {noun} to compare with ({spans})",
    )


def _weeks() -> list[Column]:
    first, last = pl.col("first_week"), pl.col("last_week")
    return [
        column(
            "events_first_week",
            "count",
            "activities in the week after the first event",
            "{} [activity|activities] in the first week",
            first,
        ),
        column(
            "last_week_over_first",
            "ratio",
            "activities in the last 7 days by those in the first week",
            "{} as active in the last week as in the first",
            ratio(last, first),
            missing="not active in the first week",
        ),
    ]
