"""Purchases: how many, how much, how far apart."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from oracles.naive_person import DAY, Person, Values, amount, over


def money(person: Person) -> Values:
    return _ever(person) | _habit(person) | _windowed(person) if person.spec.has_amount else {}


def amounts(person: Person) -> Values:
    """By kind of event, where several carry amounts."""
    spec, month = person.spec, person.spec.month
    if not spec.has_amount or len(spec.priced) < 2:
        return {}
    out: Values = {}
    for name, slug in spec.event_slugs.items():
        if name in spec.priced:
            mine = [row for row in person.priced if row["event"] == name]
            out[f"event_amount_total_{slug}"] = amount(mine)
            out[f"event_amount_mean_{slug}"] = over(amount(mine), len(mine))
            if month:
                out[f"event_amount_{month}_{slug}"] = amount(person.since(mine, month.days))
            if spec.definitions.value.events and name not in spec.definitions.value.events:
                weights = [2 ** -(person.age(row) / 30) for row in mine]
                weighed = [row["amount"] * w for row, w in zip(mine, weights, strict=True)]
                lately = over(math.fsum(weighed), math.fsum(weights))
                out[f"event_amount_lately_{slug}"] = lately
    return out


def _ever(person: Person) -> Values:
    paid = person.paid
    amounts = [row["amount"] for row in paid]
    return {
        "purchase_recency_days": person.age(paid[-1]) if paid else None,
        "purchase_tenure_days": person.age(paid[0]) if paid else None,
        "purchases_total": len(paid),
        "amount_total": amount(paid),
        "amount_mean": over(amount(paid), len(paid)),
        "amount_max": max(amounts, default=None),
        "amount_deviation": _deviation(amounts),
        "amount_last": amounts[-1] if paid else None,
    }


def _deviation(amounts: list[float]) -> float | None:
    """Exact up to the root."""
    if len(amounts) < 2:
        return None
    return float(statistics.variance(map(Fraction, amounts))) ** 0.5


def _habit(person: Person) -> Values:
    paid = person.paid
    steps = len(person.days_of(paid)) - 1
    usual = (paid[-1]["ts"] - paid[0]["ts"]) / DAY / steps if steps > 0 else None
    silence = person.age(paid[-1]) if paid else None
    return {
        "refund_share": over(sum(row["amount"] < 0 for row in paid), len(paid)),
        "purchase_gap_mean_days": usual,
        "purchase_gap_now_over_mean": over(silence, usual),
        "purchases_per_active_day": over(len(paid), len(person.days_of(person.active))),
    }


def _windowed(person: Person) -> Values:
    out: Values = {}
    for window in person.spec.windows:
        inside = person.since(person.paid, window.days)
        out[f"purchases_{window}"] = len(inside)
        out[f"amount_{window}"] = amount(inside)
        out[f"amount_mean_{window}"] = over(amount(inside), len(inside))
    return out
