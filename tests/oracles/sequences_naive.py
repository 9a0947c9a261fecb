"""Sequences by the book: plain Python, one user and one cutoff at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from oracles.features_logs import events_frame

from events.contract import TIME
from features.spec import FeatureSpec

Row = Mapping[str, Any]
NUMPY = {"kind": "i2", "channel": "i2", "gap": "f4", "amount": "f4"}
NUMPY |= {"hour": "i1", "weekday": "i1", "ts": "i8"}
CAP = 1e30


def sequences(
    log: Sequence[Row], t: datetime, spec: FeatureSpec, length: int
) -> dict[str, dict[str, bytes]]:
    """By user, the bytes of each array: of everyone of whom an event is known at t."""
    return {
        user: {name: np.array(values, NUMPY[name]).tobytes() for name, values in found.items()}
        for user in {row["user_id"] for row in log}
        if (found := one(log, user, t, spec, length))["ts"]
    }


def one(
    log: Sequence[Row], user: str, t: datetime, spec: FeatureSpec, length: int
) -> dict[str, list[Any]]:
    known = [coded(r, spec) for r in log if r["user_id"] == user and is_known(r, t)]
    known.sort(key=lambda row: row["order"])
    for earlier, row in zip([None, *known], known, strict=False):
        row["gap"] = math.nan if earlier is None else (row["ts"] - earlier["ts"]) / 1_000_000
    return {name: [row[name] for row in known[-length:]] for name in NUMPY}


def is_known(row: Row, t: datetime) -> bool:
    received = row.get("received")
    return row["ts"] < t and (received is None or received < t)


def coded(row: Row, spec: FeatureSpec) -> dict[str, Any]:
    local = row["ts"].astimezone(ZoneInfo(spec.timezone))
    kind = spec.events.index(row["event"]) + 1 if row["event"] in spec.events else 0
    channel = 0 if row["channel"] is None else 1
    if row["channel"] in spec.channels:
        channel = spec.channels.index(row["channel"]) + 2
    amount = math.nan
    if row["amount"] is not None:
        amount = min(max(row["amount"], -CAP), CAP)
    ts = (row["ts"] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    nan_last = (math.isnan(amount), 0 if math.isnan(amount) else amount)
    return {
        "ts": ts,
        "kind": kind,
        "channel": channel,
        "amount": amount,
        "hour": local.hour,
        "weekday": local.weekday(),
        "order": (ts, kind, channel, nan_last),
    }


def received_frame(log: Sequence[Row], buckets: int = 1) -> pl.DataFrame:
    """The rows as the event store holds them where the log says when they were received."""
    received = pl.Series("received", [row.get("received") for row in log], TIME)
    return events_frame(log, buckets).with_columns(received)
