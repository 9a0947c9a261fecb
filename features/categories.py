"""Texts that events carry as properties and that come again: plans, devices, products, shops. How
many different ones there were, how many were new, which is the latest and which are usual."""

from __future__ import annotations

import polars as pl

from events.codes import OTHER
from features.family import Column, Family, Measure, column, last_days, ratio, within
from features.naming import words
from features.properties import plain
from features.spec import FeatureSpec
from features.time import Window


def categories(spec: FeatureSpec) -> Family:
    """Of each of the spec's categories: different texts ever, new ones in the month, how often one
    came; of each value with columns of its own: whether it is the latest, and its shares."""
    measures: dict[str, Measure] = {}
    columns: list[Column] = []
    for place, one in enumerate(spec.categories):
        code, noun = pl.col(f"category_{place}"), words(one.name)
        measures |= {
            f"told_category_{place}": Measure("events", code.is_not_null()),
            f"new_category_{place}": Measure("events", pl.col(f"category_{place}_new")),
        }
        columns += _variety(place, spec.category_slugs[one.name, None], noun, spec.month)
        for number, value in enumerate(one.values, start=OTHER + 1):
            latest = pl.col(f"category_{place}_latest") == number
            measures |= {
                f"category_{place}_{number}": Measure("events", code, code=number),
                f"category_{place}_{number}_latest": Measure("events", latest, "last"),
            }
            slug = spec.category_slugs[one.name, value]
            columns += _value(place, number, slug, noun, words(plain(value)), spec.month)
    return Family(measures, tuple(columns))


def _variety(place: int, slug: str, noun: str, month: Window | None) -> list[Column]:
    new, told = f"new_category_{place}", within(f"told_category_{place}", None)
    columns = [
        column(
            f"category_different_{slug}",
            "count",
            f"different '{noun}' ever",
            f"{{}} different '{noun}' ever",
            within(new, None),
        ),
        column(
            f"category_each_{slug}",
            "number",
            f"times that one '{noun}' came, on average",
            f"each '{noun}' came {{}} [time|times] on average",
            ratio(told, within(new, None)),
            missing=f"no '{noun}' ever",
        ),
    ]
    if month is None:
        return columns
    when = last_days(month)
    return [
        *columns,
        column(
            f"category_{month}_new_{slug}",
            "count",
            f"different '{noun}' {when} that had never come before",
            f"{{}} new '{noun}' {when}",
            within(new, month),
            month,
        ),
    ]


def _value(
    place: int, number: int, slug: str, noun: str, value: str, month: Window | None
) -> list[Column]:
    code = f"category_{place}_{number}"
    columns = [
        column(
            f"category_latest_{slug}",
            "flag",
            f"the latest '{noun}' is '{value}'",
            f"the latest '{noun}' {{}} '{value}'",
            pl.col(f"{code}_latest"),
        )
    ]
    for window, name in ((None, "share"), *([(month, f"{month}_share")] if month else [])):
        when = last_days(window)
        columns.append(
            column(
                f"category_{name}_{slug}",
                "share",
                f"'{value}' among events with '{noun}' {when}",
                f"'{noun}' was '{value}' in {{}} of events that have it {when}",
                ratio(within(code, window), within(f"told_category_{place}", window)),
                window,
                missing=f"no '{noun}' {when}",
            )
        )
    return columns
