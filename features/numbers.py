"""Numbers that events carry as properties: how large they are, how large they were, and where they
are heading."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column, last_days, ratio, within
from features.naming import words
from features.spec import FeatureSpec
from features.time import Window

HALF_LIFE_DAYS = 30


def numbers(spec: FeatureSpec) -> Family:
    """Of each of the spec's numbers: its mean ever, lately and in the month, its sum in the month,
    and lately beside ever."""
    measures: dict[str, Measure] = {}
    columns: list[Column] = []
    for place, (number, slug) in enumerate(zip(spec.numbers, spec.number_slugs, strict=True)):
        value = pl.col(f"number_{place}")
        there = value.is_not_null()
        measures |= {
            f"told_{place}": Measure("events", there),
            f"sum_{place}": Measure("events", value, real=True),
            f"told_lately_{place}": Measure(
                "events", there.cast(pl.Float64), "decay", True, HALF_LIFE_DAYS
            ),
            f"sum_lately_{place}": Measure("events", value, "decay", True, HALF_LIFE_DAYS),
        }
        columns += _number(place, slug, words(number.name), spec.month)
    return Family(measures, tuple(columns))


def _number(place: int, slug: str, noun: str, month: Window | None) -> list[Column]:
    never = f"no '{noun}' ever"
    mean = ratio(within(f"sum_{place}", None), within(f"told_{place}", None))
    lately = ratio(pl.col(f"sum_lately_{place}"), pl.col(f"told_lately_{place}"))
    columns = [
        column(
            f"number_mean_{slug}",
            "number",
            f"mean of '{noun}'",
            f"'{noun}' is {{}} on average",
            mean,
            missing=never,
        ),
        column(
            f"number_lately_{slug}",
            "number",
            f"mean of '{noun}', each weighing half after every {HALF_LIFE_DAYS} days",
            f"'{noun}' is about {{}} lately",
            lately,
            missing=never,
        ),
        column(
            f"number_lately_over_mean_{slug}",
            "ratio",
            f"'{noun}' lately over its mean",
            f"'{noun}' is {{}} its mean lately",
            ratio(lately, mean),
            missing=f"{never}, or none above 0 on average",
        ),
    ]
    if month is None:
        return columns
    when = last_days(month)
    sum_, told = within(f"sum_{place}", month), within(f"told_{place}", month)
    return [
        *columns,
        column(
            f"number_total_{month}_{slug}",
            "number",
            f"sum of '{noun}' {when}",
            f"{{}} of '{noun}' {when}",
            sum_,
            month,
        ),
        column(
            f"number_mean_{month}_{slug}",
            "number",
            f"mean of '{noun}' {when}",
            f"'{noun}' is {{}} on average {when}",
            ratio(sum_, told),
            month,
            missing=f"no '{noun}' {when}",
        ),
    ]
