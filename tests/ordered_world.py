"""A store of a log in which the order of events decides who churns, for tests of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import polars_hash as plh
from oracles.features_logs import settings_of

from events.contract import EVENTS, TIME
from events.store import EventStore, open_store
from features.definitions import Definitions
from features.learn import learn_spec
from features.sequence_build import build_sequences
from features.sequence_files import Sequences, open_sequences
from features.sequences import micros
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime import tables
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "test")
NEWEST = datetime(2024, 6, 1, tzinfo=UTC)
DEFINITIONS = Definitions(Activity(), Eligible(within_days=60), Churn(horizon_days=30), Value())
CIRCLE = ("ask", "buy", "call")
SECOND_US = 1_000_000


@dataclass(frozen=True)
class Ordered:
    """`rows`: cutoff, user_id, churn, churn_10, value; `spec`, `sequences`: of all cutoffs."""

    store: EventStore
    spec: FeatureSpec
    sequences: Sequences
    rows: pl.DataFrame


def log_of(users: int, cutoffs: list[Cutoff], seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events and the labels. Before each cutoff a user goes around the circle of three kinds
    one way or the other, as one who stays or as one who leaves; all kinds are as frequent, and the
    last event is as long ago, either way."""
    draw = np.random.default_rng(seed)
    logs, labels = [], []
    for cutoff in cutoffs:
        leaves = draw.random(users) < 0.4
        lengths = draw.integers(8, 20, users)
        owner = np.repeat(np.arange(users), lengths)
        turns = np.where(draw.random(len(owner)) < 0.6, np.where(leaves[owner], 1, 2), 0)
        starts = np.cumsum(lengths) - lengths
        first = draw.integers(0, 3, users) - turns.cumsum()[starts]
        kind = (turns.cumsum() + first[owner]) % 3
        days = draw.uniform(0, 25, len(owner))
        since = days[np.lexsort((-days, owner))]
        ts = micros(cutoff.at) - (since * 86_400 * SECOND_US).astype(np.int64) - SECOND_US
        names = np.array([f"u{i:04d}" for i in range(users)])
        amount = np.where(kind == 1, np.round(draw.gamma(2.0, 10.0, len(owner)), 2), np.nan)
        logs.append(
            pl.DataFrame(
                {
                    "user_id": names[owner],
                    "ts": pl.Series(ts).cast(TIME),
                    "event": np.array(CIRCLE)[kind],
                    "amount": pl.Series(amount).fill_nan(None),
                    "channel": np.where(draw.random(len(owner)) < 0.5, "web", "app"),
                }
            )
        )
        value = np.where(leaves, 0.0, np.round(draw.gamma(2.0, 30.0, users), 2))
        labels.append(
            pl.DataFrame(
                {
                    "cutoff": pl.Series([cutoff.at] * users, dtype=TIME),
                    "user_id": names,
                    "churn": leaves.astype(np.int8),
                    "churn_10": (leaves | (draw.random(users) < 0.2)).astype(np.int8),
                    "value": value,
                }
            )
        )
    return pl.concat(logs), pl.concat(labels)


def ordered(
    folder: Path,
    users: int = 150,
    cutoffs: int = 3,
    buckets: int = 1,
    length: int = 16,
    seed: int = 0,
    later: bool = False,
) -> Ordered:
    """A store whose newest cutoff is NEWEST. `later`: with further events after each user's last
    cutoff, which no sequence at the cutoffs may know."""
    at = [Cutoff(NEWEST - timedelta(days=40 * k)) for k in reversed(range(cutoffs))]
    log, rows = log_of(users, at, seed)
    if later:
        log = pl.concat((log, log.with_columns(pl.col("ts") + timedelta(days=40 * cutoffs))))
    settings = settings_of(DEFINITIONS, folder)
    bucket = (plh.col("user_id").nchash.xxhash64() % buckets).cast(pl.Int32)
    filled = log.with_columns(
        event_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("test"),
        properties=pl.lit(None, dtype=pl.String),
        received=pl.lit(None, dtype=TIME),
        bucket=bucket,
    )
    tables.append(settings.store / "events", EVENTS, [filled])
    store = open_store(settings, NEWEST)
    spec = learn_spec(store, at[0], settings)
    info = build_sequences(settings, store, at, spec, CPU, length)
    return Ordered(store, spec, open_sequences(info.path), rows)
