"""SQL of numbers among the properties of events."""

from __future__ import annotations

from oracles.duck_base import text, within

from features.properties import Number
from features.spec import FeatureSpec


def numbers(spec: FeatureSpec) -> str:
    if not spec.numbers:
        return ""
    columns = []
    for number, slug in zip(spec.numbers, spec.number_slugs, strict=True):
        x, weight = _value(number), "power(2, -days_between(t, ts) / 30)"
        mean = f"avg({x})"
        lately = f"sum({x} * {weight}) / sum({weight}) filter ({x} is not null)"
        columns += [
            f'{mean} as "number_mean_{slug}"',
            f'{lately} as "number_lately_{slug}"',
            f'case when {mean} > 0 then {lately} / {mean} end as "number_lately_over_mean_{slug}"',
        ]
        if month := spec.month:
            recent = f"filter ({within(month.days)})"
            columns += [
                f'coalesce(sum({x}) {recent}, 0) as "number_total_{month}_{slug}"',
                f'avg({x}) {recent} as "number_mean_{month}_{slug}"',
            ]
    return f"select t, user_id, {', '.join(columns)} from known group by t, user_id"


def _value(number: Number) -> str:
    path = text(f'$."{number.name}"')
    held = f"json_extract_string(properties, {path})"
    if number.decimal == ",":
        plain = f"replace(regexp_replace({held}, '[. \u00a0]', '', 'g'), ',', '.')"
        shape = "[+-]?(\\d+|\\d{1,3}([. \u00a0]\\d{3})+)(,\\d*)?"
        held = f"case when regexp_full_match({held}, '{shape}') then {plain} end"
    value = f"try_cast({held} as double)"
    return f"case when {value} between {number.least!r} and {number.most!r} then {value} end"
