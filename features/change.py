"""Change: the recent rate against the rate before, slopes, and the last week against the first."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from features.family import Column, Family, Measure, column, ratio, within
from features.spec import FeatureSpec
from features.time import Window

WEEK = Window(7)
ROUNDING = 1e-9
SLOPES = {"weeks": (7, 4), "months": (30, 3)}  # length of a period in days, number of periods


def change(spec: FeatureSpec) -> Family:
    """Rates by day of neighbouring windows: `[t - w1, t)` over `[t - w2, t - w1)`.

    Null where the earlier span has nothing to compare with.
    """
    measures = {"first_week": Measure("active", pl.col("new"))}
    nouns = {"events": "activity"} | ({"amount": "spending"} if spec.has_amount else {})
    columns = [
        _rates(measure, noun, recent, longer)
        for measure, noun in nouns.items()
        for recent, longer in pairwise(spec.windows)
    ]
    if spec.windows:
        columns += [_slope(m, noun, name) for m, noun in nouns.items() for name in SLOPES]
    return Family(measures, (*columns, *_weeks()))


def _rates(measure: str, noun: str, recent: Window, longer: Window) -> Column:
    prior_days = longer.days - recent.days
    now, both = within(measure, recent), within(measure, longer)
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


def _slope(measure: str, noun: str, name: str) -> Column:
    """Least squares through the sums of neighbouring periods of equal length."""
    days, number = SLOPES[name]
    sums = [within(measure, Window(days * k)) for k in range(1, number + 1)]
    periods = [sums[0], *(longer - shorter for shorter, longer in pairwise(sums))]
    middle = (number - 1) / 2
    spread = sum((k - middle) ** 2 for k in range(number))
    rise = pl.sum_horizontal((middle - k) * n for k, n in enumerate(periods)) / spread
    period = name.removesuffix("s")
    return column(
        f"{measure}_slope_{number}_{name}",
        "number",
        f"change of {noun} from {period} to {period}: slope over the last {number} {name} "
        f"of {days} days",
        f"{noun} changed by {{}} a {period} over {number} {name}",
        rise,
        Window(days * number),
    )


def _weeks() -> list[Column]:
    first, last = pl.col("first_week"), within("events", WEEK)
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
