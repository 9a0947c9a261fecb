"""What a cutoff's date says, and a user's month beside that of users first seen as long ago."""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

from oracles.naive_person import DAY, Person, Values, amount, over

BANDS_DAYS = (7, 30, 90, 180, 365, 730)


def season(person: Person) -> Values:
    zone = ZoneInfo(person.spec.timezone)
    local = person.t.astimezone(zone)
    turn = 2 * math.pi * local.timetuple().tm_yday / 365.25
    out: Values = {
        "season_sine": math.sin(turn),
        "season_cosine": math.cos(turn),
        "cutoff_weekday": local.isoweekday(),
    }
    if person.spec.holidays:
        starts = [datetime(d.year, d.month, d.day, tzinfo=zone) for d in person.spec.holidays]
        ahead = [(start - person.t) / DAY for start in starts if start >= person.t]
        behind = [(person.t - start) / DAY for start in starts if start <= person.t]
        out["days_to_holiday"] = min(ahead, default=None)
        out["days_since_holiday"] = min(behind, default=None)
    return out


def peers(person: Person) -> Values:
    month = person.spec.month
    if month is None:
        return {}
    tenure = person.age(person.rows[0])
    band = sum(tenure >= edge for edge in BANDS_DAYS)
    active = person.since(person.active, month.days)
    own = {
        "events": len(active),
        "active_days": len(person.days_of(active)),
        "amount": amount(person.since(person.paid, month.days)),
    }
    return {
        f"{learned.name}_{month}_over_peers": over(own[learned.name], learned.means[band])
        for learned in person.spec.peers
    }
