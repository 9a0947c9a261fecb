"""Days that events name in advance: when a membership runs out, when the next bill is due."""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, Measure, column
from features.measure import DAY_US
from features.naming import words
from features.spec import FeatureSpec
from features.streams import NO_DAY
from runtime.clock import EPOCH


def deadlines(spec: FeatureSpec) -> Family:
    """Of each of the spec's deadlines: how far ahead the latest is, and the furthest, below 0 once
    it has passed; and how far ahead the latest was when it was named."""
    measures: dict[str, Measure] = {}
    columns: list[Column] = []
    for place, (one, slug) in enumerate(zip(spec.deadlines, spec.deadline_slugs, strict=True)):
        latest, span = f"deadline_{place}_latest", f"deadline_{place}_span"
        furthest = f"deadline_{place}_furthest"
        measures |= {
            latest: Measure("events", pl.col(latest), "last", real=True),
            span: Measure("events", pl.col(span), "last", real=True),
            furthest: Measure("events", pl.col(f"deadline_{place}"), "max", real=True),
        }
        columns += _columns(latest, span, furthest, slug, words(one.name))
    return Family(measures, tuple(columns))


def _columns(latest: str, span: str, furthest: str, slug: str, noun: str) -> list[Column]:
    known, never = pl.col(latest) > NO_DAY, f"no '{noun}' ever"
    now = (pl.col("cutoff") - pl.lit(EPOCH)).dt.total_microseconds() / DAY_US
    return [
        column(
            f"deadline_latest_{slug}",
            "ahead",
            f"days until the latest '{noun}', below 0 once it has passed",
            f"'{noun}' is {{}}",
            pl.when(known).then(pl.col(latest) - now),
            missing=never,
        ),
        column(
            f"deadline_furthest_{slug}",
            "ahead",
            f"days until the furthest '{noun}' ever named, below 0 once it has passed",
            f"the furthest '{noun}' is {{}}",
            pl.col(furthest) - now,
            missing=never,
        ),
        column(
            f"deadline_span_{slug}",
            "days",
            f"days from the event that named the latest '{noun}' to that day",
            f"'{noun}' was {{}} ahead when it was named",
            pl.when(known).then(pl.col(span)),
            missing=never,
        ),
    ]
