"""Renewals, cancellations, failed payments and support contacts."""

from __future__ import annotations

from oracles.naive_person import Person, Values, over


def subscription(person: Person) -> Values:
    churn = person.spec.definitions.churn
    if churn.kind == "passive" or not churn.events:
        return {}
    marked = [row for row in person.rows if row["event"] in churn.events]
    since = person.age(marked[-1]) if marked else None
    if churn.kind == "active":
        return {"endings_total": len(marked), "ending_days_since": since}
    period = churn.period_days or 0
    return {
        "renewals_total": len(marked),
        "renewal_days_since": since,
        "cycle_position": over(since, period),
        "days_to_lapse": None if since is None else period + churn.grace_days - since,
    }


def troubles(person: Person) -> Values:
    out: Values = {}
    for role, events in person.spec.roles:
        mine = [row for row in person.rows if row["event"] in events]
        for mark, days in person.windows:
            out[f"{role}_{mark}"] = len(person.since(mine, days))
        out[f"{role}_days_since"] = person.age(mine[-1]) if mine else None
        out[f"{role}_per_active_day"] = over(len(mine), len(person.days_of(person.active)))
    return out
