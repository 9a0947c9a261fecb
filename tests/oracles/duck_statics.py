"""SQL of the users table's attributes."""

from __future__ import annotations

from oracles.duck_base import text

from features.spec import FeatureSpec


def statics(spec: FeatureSpec) -> str:
    columns = []
    for attribute in spec.attributes:
        name = attribute.name
        if attribute.kind == "number":
            columns.append(f'"{name}"::double as "user_{name}"')
        columns += [
            f'coalesce("{name}" = {text(category)}, false)::int as "user_{name}_is_{category}"'
            for category in attribute.categories
        ]
    if not columns:
        return ""
    return f"select t, user_id, {', '.join(columns)} from people left join users using (user_id)"
