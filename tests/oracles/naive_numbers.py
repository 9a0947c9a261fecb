"""Numbers among the properties of events."""

from __future__ import annotations

import json
import math
import re

from oracles.naive_person import Person, Row, Values, over

from features.properties import Number


def numbers(person: Person) -> Values:
    out: Values = {}
    month = person.spec.month
    for number, slug in zip(person.spec.numbers, person.spec.number_slugs, strict=True):
        told = [row for row in person.rows if value(row, number) is not None]
        mean = _mean(told, number, [1.0] * len(told))
        lately = _mean(told, number, [2 ** -(person.age(row) / 30) for row in told])
        out[f"number_mean_{slug}"] = mean
        out[f"number_lately_{slug}"] = lately
        out[f"number_lately_over_mean_{slug}"] = over(lately, mean)
        if month:
            recent = person.since(told, month.days)
            out[f"number_total_{month}_{slug}"] = math.fsum(value(r, number) or 0 for r in recent)
            out[f"number_mean_{month}_{slug}"] = _mean(recent, number, [1.0] * len(recent))
    return out


def _mean(rows: list[Row], number: Number, weights: list[float]) -> float | None:
    each = zip(rows, weights, strict=True)
    return over(math.fsum((value(row, number) or 0) * w for row, w in each), math.fsum(weights))


def value(row: Row, number: Number) -> float | None:
    text = json.loads(row.get("properties") or "{}").get(number.name)
    if text is None:
        return None
    if number.decimal == ",":
        if not re.fullmatch(r"[+-]?(\d+|\d{1,3}([. \u00a0]\d{3})+)(,\d*)?", text):
            return None
        text = re.sub("[. \u00a0]", "", text).replace(",", ".")
    try:
        found = float(text)
    except ValueError:
        return None
    return found if number.least <= found <= number.most else None
