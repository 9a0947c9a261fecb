"""Naive subscriptions, troubles, peers and the calendar, from the words of their descriptions."""

from __future__ import annotations

import math
from datetime import datetime, time
from zoneinfo import ZoneInfo

from oracles.naive_person import DAY, Person, Values, amount, over

EDGES = (7, 30, 90, 180, 365, 730)


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
        "cycle_position": None if since is None else since / period,
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


def peers(person: Person) -> Values:
    month = person.spec.month
    if month is None:
        return {}
    recent = person.since(person.active, month.days)
    mine = {
        "events": len(recent),
        "active_days": len(person.days_of(recent)),
        "amount": amount(person.since(person.paid, month.days)),
    }
    tenure = person.age(person.rows[0])
    band = sum(tenure >= edge for edge in EDGES)
    return {
        f"{learned.name}_{month.days}d_over_peers": over(mine[learned.name], learned.means[band])
        for learned in person.spec.peers
    }


def season(person: Person) -> Values:
    spec = person.spec
    if spec.set != "full":
        return {}
    zone = ZoneInfo(spec.timezone)
    wall = person.t.astimezone(zone)
    angle = wall.timetuple().tm_yday * 2 * math.pi / 365.25
    out: Values = {
        "season_sine": math.sin(angle),
        "season_cosine": math.cos(angle),
        "cutoff_weekday": wall.isoweekday(),
    }
    if spec.holidays:
        away = [
            (datetime.combine(day, time(), zone).astimezone(person.t.tzinfo) - person.t) / DAY
            for day in spec.holidays
        ]
        out["days_to_holiday"] = min((days for days in away if days >= 0), default=None)
        out["days_since_holiday"] = min((-days for days in away if days <= 0), default=None)
    return out
