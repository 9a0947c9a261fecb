"""Amounts by kind of event: what a renewal brings and what a purchase does are two habits."""

from __future__ import annotations

import polars as pl

from events.codes import OTHER
from features.family import Column, Family, Measure, column, last_days, ratio, within
from features.naming import words
from features.spec import FeatureSpec
from features.time import Window


def amounts(spec: FeatureSpec) -> Family:
    """Sum and mean of the amounts of each kind of event that carries some; none where a single
    kind does, of which family `money` says all."""
    if not spec.has_amount or len(spec.paid) <= 1:
        return Family()
    measures: dict[str, Measure] = {}
    columns: list[Column] = []
    for code, (name, slug) in enumerate(spec.event_slugs.items(), start=OTHER + 1):
        if name not in spec.paid:
            continue
        mine = pl.col("kind") == code
        spent = pl.when(mine).then(pl.col("amount")).otherwise(0.0)
        measures[f"paid_{code}"] = Measure("purchases", mine)
        measures[f"amount_{code}"] = Measure("purchases", spent, real=True)
        columns += _kind(code, slug, words(name), spec.month)
    return Family(measures, tuple(columns))


def _kind(code: int, slug: str, noun: str, month: Window | None) -> list[Column]:
    spent, paid = f"amount_{code}", within(f"paid_{code}", None)
    sums = [
        column(
            f"event_amount_{window or 'total'}_{slug}",
            "money",
            f"amounts of '{noun}' events {last_days(window) if window else 'ever'}",
            f"{{}} by '{noun}' {last_days(window)}",
            within(spent, window),
            window,
        )
        for window in ((None, month) if month else (None,))
    ]
    mean = column(
        f"event_amount_mean_{slug}",
        "money",
        f"mean amount of a '{noun}' event",
        f"{{}} a '{noun}'",
        ratio(within(spent, None), paid),
        missing=f"no '{noun}' with an amount ever",
    )
    return [*sums, mean]
