"""Cases worked by hand: small logs in a TOML file that a person can check, and how to read them.

A file holds `[[case]]` tables. Every one has `name` and `log`, most `ask` (what is asked) and
`expect` (what must come out); `zone` (default UTC), `fault` (the known fault of others that it
guards against), `settings` (sections of holdfast.toml). A line of `log` is

    user  2024-01-31T23:59  event  [amount=1.5] [channel=app] [received=...] [anything=text]

in the case's zone unless the time carries an offset; blank lines and what follows a # are for
people. What is no column of the log is a property.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from events.contract import EVENTS

COLUMNS = ("channel", "event_id", "source")


@dataclass(frozen=True)
class Case:
    name: str
    log: pl.DataFrame
    zone: str = "UTC"
    ask: Mapping[str, Any] = field(default_factory=dict)
    expect: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None


def cases_in(path: Path) -> list[Case]:
    """The file's cases; no two of one name."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))["case"]
    found = []
    for one in raw:
        unknown = set(one) - {"name", "log", "zone", "ask", "expect", "settings", "fault"}
        assert not unknown, f"{path.name}: {one['name']}: unknown {sorted(unknown)}"
        zone = one.get("zone", "UTC")
        found.append(Case(**one | {"log": log_of(one["log"], zone)}))
    names = [case.name for case in found]
    assert len(set(names)) == len(names), f"{path.name}: two cases share a name"
    return found


def log_of(text: str, zone: str = "UTC") -> pl.DataFrame:
    """The lines as rows of the event contract, without `bucket`."""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    rows = [_row(words, zone) for words in lines if words]
    schema = {name: dtype for name, dtype in EVENTS.schema.items() if name != "bucket"}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(words: list[str], zone: str) -> dict[str, Any]:
    user, time, event, *others = words
    row: dict[str, Any] = dict.fromkeys(EVENTS.schema)
    del row["bucket"]
    row |= {"user_id": user, "ts": instant(time, zone), "event": event, "source": "log"}
    properties = {}
    for name, value in (other.split("=", 1) for other in others):
        if name == "amount":
            row["amount"] = float(value)
        elif name == "received":
            row["received"] = instant(value, zone)
        elif name in COLUMNS:
            row[name] = value
        else:
            properties[name] = value
    row["properties"] = json.dumps(properties, sort_keys=True) if properties else None
    return row


def instant(text: str, zone: str) -> datetime:
    """In UTC; of a local time that comes twice the first, unless it ends in '*': the second."""
    second = text.endswith("*")
    time = datetime.fromisoformat(text.removesuffix("*"))
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(zone), fold=int(second))
    return time.astimezone(UTC)
