"""Features by the book: plain Python, one user and one loop at a time, straight from the words.

Written from the descriptions and not from the plan; slow on purpose. A row of the log is a dict
with `user_id`, `ts` (aware), `event`, `amount`, `channel` and, where it came late, `received`.
A new family is a function from a Person to its values, named in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from oracles.naive_activity import activity, decay
from oracles.naive_categories import categories
from oracles.naive_change import change
from oracles.naive_deadlines import deadlines
from oracles.naive_gaps import gaps
from oracles.naive_kinds import channels, kinds
from oracles.naive_money import amounts, money
from oracles.naive_numbers import numbers
from oracles.naive_person import DAY, Person, Row, Values
from oracles.naive_rhythm import rhythm, sessions
from oracles.naive_season import peers, season
from oracles.naive_subscription import subscription, troubles

from features.sets import predicate
from features.spec import FeatureSpec


def statics(person: Person) -> Values:
    out: Values = {}
    for attribute in person.spec.attributes:
        value = person.user.get(attribute.name)
        if attribute.kind == "number":
            out[f"user_{attribute.name}"] = None if value is None else float(value)
        for category in attribute.categories:
            out[f"user_{attribute.name}_is_{category}"] = int(value == category)
    return out


FAMILIES: tuple[Callable[[Person], Values], ...] = (
    activity,
    decay,
    gaps,
    money,
    kinds,
    amounts,
    channels,
    numbers,
    categories,
    deadlines,
    sessions,
    rhythm,
    change,
    subscription,
    troubles,
    peers,
    season,
    statics,
)


def features(
    log: Sequence[Row], t: datetime, spec: FeatureSpec, users: Mapping[str, Row]
) -> dict[str, Values]:
    """Values of the spec's set by user and name, of everyone eligible at t."""
    kept = predicate(spec.set, spec.chosen)
    found = {}
    for user in sorted({row["user_id"] for row in log}):
        rows = sorted(
            (row for row in log if row["user_id"] == user and is_known(row, t)),
            key=lambda row: row["ts"],
        )
        person = Person(rows, t, spec, users.get(user, {}))
        if is_eligible(person):
            values = [family(person) for family in FAMILIES]
            found[user] = {k: v for made in values for k, v in made.items() if kept(k)}
    return found


def is_known(row: Row, t: datetime) -> bool:
    """Whether it had happened and arrived."""
    received = row.get("received")
    return row["ts"] < t and (received is None or received < t)


def is_eligible(person: Person) -> bool:
    t, meant = person.t, person.spec.definitions
    if not person.active:
        return False
    within = meant.eligible.within_days
    if within is not None and t - person.active[-1]["ts"] > within * DAY:
        return False
    churn = meant.churn
    marked = [row["ts"] for row in person.rows if row["event"] in churn.events]
    if churn.kind == "lapse":
        term = ((churn.period_days or 0) + churn.grace_days) * DAY
        return bool(marked) and marked[-1] + term > t
    if churn.kind == "active":
        left = person.user.get(churn.date_column) if churn.date_column else None
        if left is not None and left < t:
            return False
        others = [row["ts"] for row in person.active if row["event"] not in churn.events]
        return not marked or (bool(others) and others[-1] > marked[-1])
    return True
