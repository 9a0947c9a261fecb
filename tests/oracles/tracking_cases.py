"""Cases of tracking worked by hand: what happens every day in one line, and what must be found.

A line of `log` is

    2024-01-01..2024-02-25  event  x30  [hours=8..19] [users=30] [on=sat,sun] [but=2024-02-10]
                                        [channel=app] [amount=5] [late=48] [ids=2] [anything=text]

so many rows on each of these days (the last included), in the case's zone: row k is by user
u(k mod users), in the k-th of the hours (from 0; 24 is the next day's 0), at minute 7 * (k //
hours) mod 60 and second k mod 60. `late`: received so many hours after it happened; `ids=2`:
every row again with another id. What is no column of the log is a property.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from events.contract import EVENTS

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Case:
    name: str
    log: str
    expect: list[Mapping[str, Any]]
    zone: str = "UTC"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None

    @property
    def rows(self) -> pl.DataFrame:
        return log_of(self.log, self.zone)


def cases_in(path: Path) -> list[Case]:
    found = [Case(**one) for one in tomllib.loads(path.read_text(encoding="utf-8"))["case"]]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "two cases share a name"
    return found


def log_of(text: str, zone: str) -> pl.DataFrame:
    lines = (line.split("#")[0].split() for line in text.splitlines())
    rows = [row for n, words in enumerate(lines) if words for row in _rows(words, zone, n)]
    schema = {name: dtype for name, dtype in EVENTS.schema.items() if name != "bucket"}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rows(words: list[str], zone: str, line: int) -> Iterator[dict[str, Any]]:
    span, event, times, *others = words
    said = dict(other.split("=", 1) for other in others)
    first, _, last = span.partition("..")
    day, until = date.fromisoformat(first), date.fromisoformat(last or first)
    low, _, high = said.pop("hours", "8..19").partition("..")
    hours = list(range(int(low), int(high or low) + 1))
    count = int(times.removeprefix("x"))
    users, copies = int(said.pop("users", count)), int(said.pop("ids", 1))
    weekdays = said.pop("on", ",".join(WEEKDAYS)).split(",")
    but = {date.fromisoformat(text) for text in said.pop("but", "").split(",") if text}
    while day <= until:
        if WEEKDAYS[day.weekday()] in weekdays and day not in but:
            for k in range(count):
                at = _instant(day, hours[k % len(hours)], k, len(hours), zone)
                for copy in range(copies):
                    number = f"{line}-{day}-{k}-{copy}"
                    yield _row(f"u{k % users}", at, event, number, said)
        day += timedelta(days=1)


def _instant(day: date, hour: int, k: int, hours: int, zone: str) -> datetime:
    wall = datetime(day.year, day.month, day.day, hour % 24, 7 * (k // hours) % 60, k % 60)
    wall += timedelta(days=hour // 24)
    return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _row(
    user: str, at: datetime, event: str, number: str, said: Mapping[str, str]
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(name for name in EVENTS.schema if name != "bucket")
    row |= {"user_id": user, "ts": at, "event": event, "source": "log", "event_id": number}
    properties = {}
    for name, value in said.items():
        if name == "amount":
            row["amount"] = float(value)
        elif name == "late":
            row["received"] = at + timedelta(hours=float(value))
        elif name in ("channel", "source"):
            row[name] = value
        else:
            properties[name] = value
    row["properties"] = json.dumps(properties, separators=(",", ":")) if properties else None
    return row
