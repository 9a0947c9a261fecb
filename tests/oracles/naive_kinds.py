"""What a user does and through which channel: every event counts, active or not."""

from __future__ import annotations

from collections.abc import Mapping

from oracles.naive_person import Person, Row, Values, entropy, herfindahl, over

POOL = "other"


def kinds(person: Person) -> Values:
    spec = person.spec
    if not spec.has_events:
        return {}
    names = _columns(spec.event_slugs, pools=spec.pools_events)
    called = [_called(row, "event", spec.event_slugs, names) for row in person.rows]
    out = _variety(person, "kinds", called)
    for name in names:
        out |= _kind(person, name, [row for row in called if row["called"] == name])
    return out


def channels(person: Person) -> Values:
    spec = person.spec
    if not spec.has_channels:
        return {}
    names = _columns(spec.channel_slugs, pools=spec.pools_channels)
    called = [_called(row, "channel", spec.channel_slugs, names) for row in person.rows]
    out = _variety(person, "channels", called)
    for name in names:
        mine = [row for row in called if row["called"] == name]
        out[f"channel_share_{name}"] = len(mine) / len(person.rows)
        out[f"channel_days_since_{name}"] = person.age(mine[-1]) if mine else None
        if spec.month:
            out[f"channel_{spec.month}_{name}"] = len(person.since(mine, spec.month.days))
    return out


def _columns(slugs: Mapping[str, str], *, pools: bool) -> list[str]:
    return [*slugs.values(), POOL] if pools else list(slugs.values())


def _called(row: Row, field: str, slugs: Mapping[str, str], columns: list[str]) -> Row:
    """With the column that it counts in: its name's own, that of the rarer ones, or none."""
    pool = POOL if POOL in columns and row[field] is not None else None
    return {**row, "called": slugs.get(row[field], pool)}


def _variety(person: Person, plural: str, called: list[Row]) -> Values:
    month = person.spec.month
    out: Values = {}
    for mark, days in person.windows:
        seen = [row["called"] for row in person.since(called, days) if row["called"]]
        out[f"{plural}_{mark}"] = len(set(seen))
        if days is None or (month and days == month.days):
            out[f"{plural}_entropy_{mark}"] = entropy(seen)
            out[f"{plural}_concentration_{mark}"] = herfindahl(seen)
    return out


def _kind(person: Person, name: str, mine: list[Row]) -> Values:
    week, month = person.spec.week, person.spec.month
    out: Values = {
        f"event_total_{name}": len(mine),
        f"event_share_{name}": len(mine) / len(person.rows),
        f"event_days_since_{name}": person.age(mine[-1]) if mine else None,
    }
    for window in filter(None, (week, month)):
        out[f"event_{window}_{name}"] = len(person.since(mine, window.days))
    if month:
        recent = person.since(person.rows, month.days)
        out[f"event_share_{month}_{name}"] = over(out[f"event_{month}_{name}"], len(recent))
    return out
