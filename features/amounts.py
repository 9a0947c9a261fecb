"""Amounts by kind of event: what a renewal brings and what a purchase does are two habits, and
prices that are looked at tell what will be paid."""

from __future__ import annotations

import polars as pl

from events.codes import OTHER
from features.family import Column, Family, Measure, column, last_days, ratio, within
from features.naming import words
from features.spec import FeatureSpec
from features.time import Window

HALF_LIFE_DAYS = 30


def amounts(spec: FeatureSpec) -> Family:
    """Sum and mean of the amounts of each kind of event that carries some, whether or not they
    count toward value; none where a single kind does, of which family `money` says all."""
    if not spec.has_amount or len(spec.priced) <= 1:
        return Family()
    parts = [
        _looked_at(code, name, slug, spec.month)
        if name in spec.unpaid
        else _paid(code, name, slug, spec.month)
        for code, (name, slug) in enumerate(spec.event_slugs.items(), start=OTHER + 1)
        if name in spec.priced
    ]
    measures = {name: measure for part in parts for name, measure in part.measures.items()}
    return Family(measures, tuple(one for part in parts for one in part.columns))


def _paid(code: int, name: str, slug: str, month: Window | None) -> Family:
    mine, noun = pl.col("kind") == code, words(name)
    spent = pl.when(mine).then(pl.col("amount")).otherwise(0.0)
    measures = {
        f"paid_{code}": Measure("purchases", mine),
        f"amount_{code}": Measure("purchases", spent, real=True),
    }
    sums = _sums(code, slug, noun, f"{{}} by '{noun}'", month)
    return Family(measures, (*sums, _mean(code, slug, noun, f"{{}} a '{noun}'")))


def _looked_at(code: int, name: str, slug: str, month: Window | None) -> Family:
    noun = words(name)
    price = pl.when(pl.col("kind") == code).then(pl.col("price"))
    told = price.is_not_null()
    measures = {
        f"paid_{code}": Measure("events", told),
        f"amount_{code}": Measure("events", price, real=True),
        f"paid_lately_{code}": Measure(
            "events", told.cast(pl.Float64), "decay", True, HALF_LIFE_DAYS
        ),
        f"amount_lately_{code}": Measure("events", price, "decay", True, HALF_LIFE_DAYS),
    }
    sums = _sums(code, slug, noun, f"'{noun}' events carried {{}}", month)
    mean = _mean(code, slug, noun, f"'{noun}' events carry {{}} on average")
    return Family(measures, (*sums, mean, _lately(code, slug, noun)))


def _sums(code: int, slug: str, noun: str, said: str, month: Window | None) -> list[Column]:
    return [
        column(
            f"event_amount_{window or 'total'}_{slug}",
            "money",
            f"amounts of '{noun}' events {last_days(window) if window else 'ever'}",
            f"{said} {last_days(window)}",
            within(f"amount_{code}", window),
            window,
        )
        for window in ((None, month) if month else (None,))
    ]


def _mean(code: int, slug: str, noun: str, said: str) -> Column:
    return column(
        f"event_amount_mean_{slug}",
        "money",
        f"mean amount of a '{noun}' event",
        said,
        ratio(within(f"amount_{code}", None), within(f"paid_{code}", None)),
        missing=f"no '{noun}' with an amount ever",
    )


def _lately(code: int, slug: str, noun: str) -> Column:
    return column(
        f"event_amount_lately_{slug}",
        "money",
        f"mean amount of a '{noun}' event, each weighing half after every {HALF_LIFE_DAYS} days",
        f"'{noun}' events carry about {{}} lately",
        ratio(pl.col(f"amount_lately_{code}"), pl.col(f"paid_lately_{code}")),
        missing=f"no '{noun}' with an amount ever",
    )
