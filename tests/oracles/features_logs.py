"""Small logs for the feature tests, their stores, and how two tables are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import polars_hash as plh

from events.contract import EVENTS, TIME
from features.attributes import Attribute
from features.definitions import Definitions
from features.properties import Category, Deadline, Number
from runtime import tables
from runtime.settings import Settings, parse_settings

T = datetime(2024, 3, 31, 12, 30, tzinfo=UTC)  # Berlin changes its clocks on this day
USERS = ("a", "B", "007", "ü")
EVENTS_SEEN = ("buy", "Buy", "view", "odd name/€", "other", "cancel")
CHANNELS = (None, "web", "App store", "other")
NUMBERS = (Number("Data MB", ","), Number("minutes", ".", -2.0, 50.0))
CATEGORIES = (
    Category("note", ('{\\"minutes\\":\\"7\\"}',)),
    Category("plan", ("free", "gold")),
    Category("shop"),
)
DEADLINES = (Deadline("Paid until", "dmy"), Deadline("due"), Deadline("expire_date", "compact"))
PROPERTIES = (
    None,
    None,
    '{"minutes":"2.5"}',
    '{"Data MB":"1.234,5","minutes":"-1e1"}',
    '{"Data MB":"0,25","note":"{\\"minutes\\":\\"7\\"}"}',
    '{"Data MB":"12.5","minutes":"many"}',
    '{"minutes":"","plan":"gold"}',
    '{"minutes":"nan"}',
    '{"plan":"free","shop":"7"}',
    '{"plan":"gold","shop":"08"}',
    '{"shop":"ü","note":""}',
    '{"due":"2024-04-07T12:00:00Z","expire_date":"20240401","Paid until":"3.4.2024"}',
    '{"due":"2024/1/31","expire_date":"20240230","Paid until":"31.12.2023"}',
    '{"due":"soon","expire_date":"19700101","Paid until":"1-1-1989"}',
    '{"expire_date":"2025010","Paid until":"29.02.2024 10:00"}',
    '{"Data MB":"1 234\u00a0567,5","minutes":"1000"}',
)
ATTRIBUTES = (Attribute("age", "number"), Attribute("plan", "category", ("gold", "free")))
EDGES = tuple(
    timedelta(days=days, microseconds=micros)
    for days in (0, 1, 7, 30, 31, 90, 365)
    for micros in (-1, 0, 1)
)


def events_frame(log: Sequence[Mapping[str, Any]], buckets: int = 1) -> pl.DataFrame:
    """The rows as the event store holds them."""
    schema = {n: t for n, t in EVENTS.schema.items() if n in ("user_id", "ts", "event")}
    schema |= {"amount": pl.Float64(), "channel": pl.String()}
    frame = pl.DataFrame(
        {name: [row[name] for row in log] for name in schema}, schema=schema, strict=False
    )
    told = pl.Series([row.get("properties") for row in log], dtype=pl.String)
    received = pl.Series([row.get("received") for row in log], dtype=TIME)
    bucket = plh.col("user_id").nchash.xxhash64() % buckets
    return frame.select(
        *schema,
        event_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("test"),
        properties=told,
        received=received,
        bucket=bucket.cast(pl.Int32),
    )


def users_frame(users: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "age": pl.Float64, "plan": pl.String, "left": TIME}
    return pl.DataFrame([{"user_id": u} | dict(row) for u, row in users.items()], schema=schema)


def settings_of(found: Definitions, folder: Path = Path(), **sections: Any) -> Settings:
    raw: dict[str, Any] = {
        "source": [{"name": "s", "path": "x", "columns": {"user_id": "u", "ts": "t"}}],
        "users": {"path": "u", "columns": {"user_id": "u"}, "attributes": ["age", "plan"]}
        | {"dates": ["left"]},
        **found.to_dict(),
        **sections,
    }
    return parse_settings(raw, folder)


def write_store(settings: Settings, log: Sequence[Mapping[str, Any]], buckets: int = 1) -> None:
    tables.append(settings.store / "events", EVENTS, [events_frame(log, buckets)])


def same(found: Any, expected: Any, tolerance: float = 1e-9) -> bool:
    """Whole numbers exactly, others to so much of their size."""
    if found is None or expected is None or isinstance(found, str | datetime):
        return found == expected
    if isinstance(found, int) and isinstance(expected, int):
        return found == expected
    return math.isclose(found, expected, rel_tol=tolerance, abs_tol=1e-9)


def differences(
    found: Mapping[Any, Mapping[str, Any]],
    expected: Mapping[Any, Mapping[str, Any]],
    tolerance: float = 1e-9,
) -> list[str]:
    """What differs between two tables by user, or cutoff and user, and column."""
    if set(found) != set(expected):
        return [f"users {sorted(found)} instead of {sorted(expected)}"]
    told = []
    for user, row in found.items():
        if set(row) != set(expected[user]):
            told.append(f"{user}: columns {sorted(set(row) ^ set(expected[user]))}")
        told += [
            f"{user}.{name}: {value} instead of {expected[user].get(name)}"
            for name, value in row.items()
            if not same(value, expected[user].get(name), tolerance)
        ]
    return told


def by_user(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row.pop("user_id"): row for row in frame.to_dicts()}
