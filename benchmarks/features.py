"""Snapshots of a large log at twelve cutoffs: events a second, beside the floor of sorting it.

    python -m benchmarks.features [EVENTS]

The floor is one sort of each bucket's rows by user and time, without which no feature that
looks at a predecessor can be computed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from events.contract import EVENTS, TIME
from events.staging import bucket_of
from events.store import EventStore, open_store
from features.snapshots import build_snapshots
from features.spec import learn_spec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import parse_settings
from runtime.tables import append

CPU = Device("cpu", "benchmark")
BUCKETS, USERS, DAYS = 16, 50_000, 730
START = datetime(2022, 1, 1, tzinfo=UTC)
KINDS = ("login", "view", "search", "cart", "purchase", "support", "mail", "push", "rate", "share")


def log(count: int) -> pl.DataFrame:
    """Few users do much and many little; every kind of event, three channels, some amounts."""
    rng = np.random.default_rng(0)
    weight = rng.pareto(1.5, USERS) + 0.2
    kind = rng.integers(0, len(KINDS), count)
    at = rng.integers(0, DAYS * 86_400_000_000, count)
    text = {"event_id": None, "source": "benchmark", "properties": None}
    return pl.DataFrame(
        {
            "user_id": np.char.mod("user %d", rng.choice(USERS, count, p=weight / weight.sum())),
            "ts": pl.Series(at, dtype=pl.Int64).cast(pl.Duration("us")) + START,
            "event": np.array(KINDS)[kind],
            "amount": np.where(kind == KINDS.index("purchase"), rng.lognormal(3, 1, count), np.nan),
            "channel": np.array(("web", "app", "store"))[rng.integers(0, 3, count)],
        }
    ).with_columns(
        pl.col("ts").cast(TIME),
        pl.col("amount").fill_nan(None),
        bucket_of(BUCKETS),
        received=pl.lit(None, dtype=TIME),
        **{name: pl.lit(value, dtype=pl.String) for name, value in text.items()},
    )


def sorting(store: EventStore) -> float:
    started = time.perf_counter()
    for bucket in store.buckets:
        collect(store.scan(bucket).select("user_id", "ts", "amount").sort("user_id", "ts"), CPU)
    return time.perf_counter() - started


def main(count: int = 2_000_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = {"name": "s", "path": "x", "columns": {"user_id": "u", "ts": "t"}}
        settings = parse_settings({"source": [source]}, Path(folder))
        append(settings.store / "events", EVENTS, [log(count)])
        store = open_store(settings)
        newest = START + timedelta(days=DAYS - 31)
        cutoffs = [Cutoff(newest - timedelta(days=30 * k)) for k in range(12)]
        started = time.perf_counter()
        spec = learn_spec(store, cutoffs[-1], settings)
        learning = time.perf_counter() - started
        started, worked = time.perf_counter(), time.process_time()
        found = build_snapshots(settings, store, cutoffs, spec, CPU, labelled=True)
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
        floor = sorting(store)
    print(f"features: {count:,} events, {found.rows:,} rows of {len(found.features)} features")
    print(f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"  learn     {learning:6.2f} s")
    print(f"  snapshots {seconds:6.2f} s at 12 cutoffs, {12 * count / seconds:,.0f} events/s")
    print(f"            {cpu:6.2f} s of processor time, the writing of the table included")
    print(f"  floor     {floor:6.2f} s to read and sort the log once: {seconds / floor:.1f} times")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
