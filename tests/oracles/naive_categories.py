"""Texts among the properties of events that come again."""

from __future__ import annotations

import json
from typing import Any

from oracles.naive_person import Person, Row, Values, over

from features.properties import Category


def categories(person: Person) -> Values:
    out: Values = {}
    month, slugs = person.spec.month, person.spec.category_slugs
    for one in person.spec.categories:
        told = sorted((row for row in person.rows if text(row, one) is not None), key=place)
        slug, seen = slugs[one.name, None], {text(row, one) for row in told}
        out[f"category_different_{slug}"] = len(seen)
        out[f"category_each_{slug}"] = over(len(told), len(seen))
        recent = person.since(told, month.days) if month else []
        if month:
            before = {text(row, one) for row in told if row not in recent}
            new = {text(row, one) for row in recent} - before
            out[f"category_{month}_new_{slug}"] = len(new)
        for value in one.values:
            slug = slugs[one.name, value]
            out[f"category_latest_{slug}"] = int(bool(told) and text(told[-1], one) == value)
            out[f"category_share_{slug}"] = _share(told, one, value)
            if month:
                out[f"category_{month}_share_{slug}"] = _share(recent, one, value)
    return out


def _share(rows: list[Row], one: Category, value: str) -> float | None:
    return over(sum(text(row, one) == value for row in rows), len(rows))


def text(row: Row, one: Category) -> str | None:
    found = json.loads(row.get("properties") or "{}").get(one.name)
    return None if found is None else json.dumps(found, ensure_ascii=False)[1:-1]


def place(row: Row) -> tuple[Any, ...]:
    """Where an event stands among the others: what is missing comes first."""
    held = (row["ts"], row["event"], row["amount"], row["channel"], row.get("properties"))
    return tuple((value is not None, value) for value in held)
