"""Change: neighbouring spans compared, slopes over periods, the last week against the first."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise

from oracles.naive_person import DAY, Person, Row, Values, amount, over

WEEK = timedelta(days=7)
Sum = Callable[[Sequence[Row]], float]


def change(person: Person) -> Values:
    spec = person.spec
    out = _measured(person, "events", person.active, len)
    if spec.has_amount:
        out |= _measured(person, "amount", person.paid, amount)
    first = [row for row in person.active if row["ts"] < person.rows[0]["ts"] + WEEK]
    last = person.since(person.active, 7)
    out["events_first_week"] = len(first)
    out["last_week_over_first"] = over(len(last), len(first))
    return out


def _measured(person: Person, name: str, rows: Sequence[Row], total: Sum) -> Values:
    out: Values = {}
    for recent, longer in pairwise(person.spec.windows):
        now = total(between(person, rows, 0, recent.days)) / recent.days
        before = total(between(person, rows, recent.days, longer.days))
        out[f"{name}_change_{recent}_{longer}"] = over(now, before / (longer.days - recent.days))
    if person.spec.windows:
        out[f"{name}_slope_4_weeks"] = slope(person, rows, total, 7, 4)
        out[f"{name}_slope_3_months"] = slope(person, rows, total, 30, 3)
    return out


def between(person: Person, rows: Sequence[Row], near: int, far: int) -> list[Row]:
    """Those of the last `far` days but not of the last `near`."""
    start, end = person.t - far * DAY, person.t - near * DAY
    return [row for row in rows if start <= row["ts"] < end]


def slope(person: Person, rows: Sequence[Row], total: Sum, days: int, number: int) -> float:
    """Of the straight line nearest to the sums of the last periods, the earliest first."""
    sums = [
        float(total(between(person, rows, days * k, days * (k + 1))))
        for k in reversed(range(number))
    ]
    return statistics.linear_regression(range(number), sums).slope
