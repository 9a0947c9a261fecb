"""Recency, tenure, counts of activities and active days; and what fades by half-lives."""

from __future__ import annotations

import math

from oracles.naive_person import Person, Values


def activity(person: Person) -> Values:
    active = person.active
    tenure = person.age(person.rows[0])
    days = len(person.days_of(active))
    out: Values = {
        "recency_days": person.age(active[-1]),
        "tenure_days": tenure,
        "events_total": len(active),
        "active_days_total": days,
        "active_day_share": min(days / max(tenure, 1), 1),
        "events_per_active_day": len(active) / days,
    }
    for window in person.spec.windows:
        inside = person.since(active, window.days)
        known_days = min(max(tenure, 1), window.days)  # a tenure below a day counts as one
        out[f"events_{window}"] = len(inside)
        out[f"active_days_{window}"] = len(person.days_of(inside))
        out[f"events_rate_{window}"] = len(inside) / known_days
    return out


def decay(person: Person) -> Values:
    out: Values = {}
    for half_life in (7, 30, 90):
        name = f"decay_{half_life}d"
        out[f"activity_{name}"] = math.fsum(
            0.5 ** (person.age(row) / half_life) for row in person.active
        )
        if person.spec.has_amount:
            out[f"amount_{name}"] = math.fsum(
                row["amount"] * 0.5 ** (person.age(row) / half_life) for row in person.paid
            )
    return out
