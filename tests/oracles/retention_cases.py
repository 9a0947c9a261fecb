"""How a worked case of retention is asked and what its lines mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from oracles.retention_world import settings_in
from oracles.worked_cases import Case, instant

from events.contract import EVENTS, TIME
from events.store import EventStore, events_path, open_store
from events.users import VALID_FROM, users_path
from features.time import Cutoff
from retention.asking import Did
from retention.curve import RetentionTable, retention
from runtime.clock import parse_instant
from runtime.device import Device
from runtime.settings import Settings
from runtime.tables import TableKind, append, rewrite

CPU = Device("cpu", "a test")
WORDS = ("first", "first_in_range", "every")
COLUMNS = {"user_id": "u", "ts": "t", "event": "e", "amount": "a"}
BUCKETS = 2


def world_of(case: Case, folder: Path) -> tuple[Settings, EventStore]:
    """The case's log and users in a store of two buckets, seen as of its instant."""
    users = case.ask.get("users", ())
    sections = dict(case.settings)
    if users:
        named = {name for line in users for name in _pairs(line)} - {VALID_FROM}
        timed = {"valid_from": VALID_FROM} if any(VALID_FROM in u for u in users) else {}
        sections["users"] = {
            "path": "u.csv",
            "columns": {"user_id": "u"},
            "attributes": sorted(named),
            **timed,
        }
    source = {"name": "log", "path": "x.csv", "columns": COLUMNS}
    chosen = settings_in(folder, case.zone, source=[source], **sections)
    rows = case.log.with_columns(bucket=_bucket())
    append(events_path(chosen), EVENTS, [rows.select(EVENTS.schema.keys())])
    if users:
        _write_users(chosen, users, case)
    as_of = case.ask.get("as_of")
    return chosen, open_store(chosen, as_of and parse_instant(as_of, case.zone))


def _bucket() -> pl.Expr:
    return (pl.col("user_id").str.len_bytes() + pl.col("user_id").str.ends_with("b")).cast(
        pl.Int32
    ) % BUCKETS


def _pairs(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split()[1:])


def _write_users(chosen: Settings, lines: Sequence[str], case: Case) -> None:
    rows = [{"user_id": line.split()[0], **_pairs(line)} for line in lines]
    for row in rows:
        if VALID_FROM in row:
            row[VALID_FROM] = instant(row[VALID_FROM], case.zone)
    frame = pl.DataFrame(rows)
    if VALID_FROM in frame.columns:
        frame = frame.with_columns(pl.col(VALID_FROM).cast(TIME))
    numbers = [
        name
        for name in frame.columns
        if frame[name].dtype == pl.String and frame[name].cast(pl.Float64, strict=False).count()
    ]
    frame = frame.with_columns(pl.col(numbers).cast(pl.Float64), bucket=_bucket())
    kind = TableKind("users", 1, dict(frame.schema), ("bucket",))
    parts = [part for _, part in sorted(frame.partition_by("bucket", as_dict=True).items())]
    rewrite(users_path(chosen), kind, parts, {})


def asked_of(ask: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """The case's `ask` as arguments of `retention`."""
    how = {name: value for name, value in ask.items() if name not in ("users", "as_of")}
    for name in ("since", "until"):
        if name in how:
            how[name] = parse_instant(how[name], zone)
    if how.get("anchor", "first") not in WORDS:
        how["anchor"] = Cutoff(parse_instant(how["anchor"], zone))
    if "did" in how:
        how["did"] = Did(**how["did"])
    if "brackets" in how:
        how["brackets"] = [(start, end) for start, end in how["brackets"]]
    return how


def table_of(case: Case, folder: Path) -> RetentionTable:
    chosen, store = world_of(case, folder)
    return retention(chosen, store, CPU, **asked_of(case.ask, case.zone))


def lines_of(table: RetentionTable) -> dict[str, pl.DataFrame]:
    """The table's lines by name, in order: a cohort's first day (and its group), a group, and
    "overall"."""
    found: dict[str, pl.DataFrame] = {}
    parts = table.cells.partition_by("cohort", "kind", "group", as_dict=True, maintain_order=True)
    for (day, kind, group), rows in parts.items():
        label = table.labels.get((kind, group))
        found[f"{day} {label}" if label else str(day)] = rows
    for (kind, group), label in table.labels.items():
        same = pl.col("kind").eq_missing(kind) & pl.col("group").eq_missing(group)
        found[label] = table.groups.filter(same)
    return found | {"overall": table.overall}


def counts(rows: pl.DataFrame) -> str:
    """ "2/3 1/3?": retained of users, cell by cell; ? where the cell has not ended."""
    ended = rows["complete"] if "complete" in rows.columns else [True] * rows.height
    return " ".join(
        f"{part}/{whole}{'' if done else '?'}"
        for part, whole, done in zip(rows["retained"], rows["users"], ended, strict=True)
    )


def numbers(text: str) -> list[float | None]:
    return [None if word == "?" else float(word) for word in text.split()]
