"""SQL of texts among the properties of events that come again."""

from __future__ import annotations

from oracles.duck_base import text, within

from features.properties import Category, plain
from features.spec import FeatureSpec


def categories(spec: FeatureSpec) -> str:
    if not spec.categories:
        return ""
    queries = [_one(one, spec) for one in spec.categories]
    joined = " join ".join(
        f"({query}) {'using (t, user_id)' if place else ''}" for place, query in enumerate(queries)
    )
    return f"from {joined}"


def _one(one: Category, spec: FeatureSpec) -> str:
    slug, month = spec.category_slugs[one.name, None], spec.month
    held = text(f'$."{one.name}"')
    order = "ts, event, amount nulls first, channel nulls first, properties nulls first"
    columns = [
        f'count(distinct x) as "category_different_{slug}"',
        f'count(x) / nullif(count(distinct x), 0) as "category_each_{slug}"',
    ]
    if month:
        columns.append(
            f'count(*) filter (new and {within(month.days)}) as "category_{month}_new_{slug}"'
        )
    for value in one.values:
        named, mine = spec.category_slugs[one.name, value], f"x = {text(plain(value))}"
        columns += [
            f"coalesce(last(x order by {order}) filter (x is not null) = {text(plain(value))}, "
            f'false)::int as "category_latest_{named}"',
            f'count(*) filter ({mine}) / nullif(count(x), 0) as "category_share_{named}"',
        ]
        if month:
            recent = within(month.days)
            columns.append(
                f"count(*) filter ({mine} and {recent}) / nullif(count(x) filter ({recent}), 0) "
                f'as "category_{month}_share_{named}"'
            )
    return f"""
        with told as (
            select *, json_extract_string(properties, {held}) as x from known),
        marked as (
            select *, x is not null and ts = min(ts) over (partition by t, user_id, x)
                and row_number() over (partition by t, user_id, x, ts) = 1 as new
            from told)
        select t, user_id, {", ".join(columns)} from marked group by t, user_id"""
