"""Days that events name in advance."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from oracles.naive_categories import place
from oracles.naive_person import DAY, Person, Row, Values

from features.properties import Deadline

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR, MONTH, DAY_OF_MONTH = r"(?P<y>\d{4})", r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})"
SHAPES = {
    "ymd": f"{YEAR}[-/.]{MONTH}[-/.]{DAY_OF_MONTH}",
    "compact": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})$",
    "dmy": f"{DAY_OF_MONTH}[-/.]{MONTH}[-/.]{YEAR}",
    "mdy": f"{MONTH}[-/.]{DAY_OF_MONTH}[-/.]{YEAR}",
}


def deadlines(person: Person) -> Values:
    out: Values = {}
    for one, slug in zip(person.spec.deadlines, person.spec.deadline_slugs, strict=True):
        told = sorted((row for row in person.rows if day(row, one)), key=place)
        days = [instant for row in told if (instant := day(row, one))]
        out[f"deadline_latest_{slug}"] = (days[-1] - person.t) / DAY if days else None
        out[f"deadline_furthest_{slug}"] = (max(days) - person.t) / DAY if days else None
        out[f"deadline_span_{slug}"] = (days[-1] - told[-1]["ts"]) / DAY if days else None
    return out


def day(row: Row, one: Deadline) -> datetime | None:
    text = json.loads(row.get("properties") or "{}").get(one.name)
    if text is None:
        return None
    if one.layout == "epoch_s":
        found = EPOCH + timedelta(days=int(text) // 86_400) if text.isdecimal() else None
    else:
        match = re.match(SHAPES[one.layout], text, re.ASCII)
        found = _date(match) if match else None
    return found if found and 1990 <= found.year < 2100 else None


def _date(match: re.Match[str]) -> datetime | None:
    try:
        return datetime(int(match["y"]), int(match["m"]), int(match["d"]), tzinfo=UTC)
    except ValueError:
        return None
