"""Run by an interpreter that has the [gpu] extra: translates every sequence plan, runs none.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

# First, as it keeps cuDF from looking for a device.
from oracles.features_translate import specs, untranslated  # isort: skip

import polars as pl
from oracles.features_logs import EVENTS_SEEN, USERS, T
from oracles.sequences_naive import received_frame

from events.store import known_before
from features.sequence_now import now_plan
from features.sequences import index_plan, known_plan, sequence_plan
from features.time import Cutoff


def plans(folder: Path) -> Iterator[tuple[str, pl.LazyFrame]]:
    """Over files, as the store has them, with and without the time of receipt."""
    log = [
        {"user_id": user, "ts": T - timedelta(hours=hours), "event": event, "amount": 1.0}
        | {"channel": "web", "received": T}
        for user in USERS
        for hours, event in enumerate(EVENTS_SEEN)
    ]
    frame = received_frame(log)
    frame.write_parquet(folder / "received.parquet")
    frame.drop("received").write_parquet(folder / "plain.parquet")
    for kind in ("received", "plain"):
        events = pl.scan_parquet([folder / f"{kind}.parquet"] * 2)
        for name, spec in specs():
            plan = sequence_plan(_known(events), spec)
            yield f"rows: {kind}, {name}", plan
            yield f"index: {kind}, {name}", index_plan(plan, Cutoff(T), 3)
            yield f"sequences: {kind}, {name}", known_plan(plan, Cutoff(T), 3)
            yield f"now: {kind}, {name}", now_plan(_known(events), Cutoff(T), spec, 3)


def _known(events: pl.LazyFrame) -> pl.LazyFrame:
    """As a store's scan gives them."""
    told = "received" in events.collect_schema()
    return events.filter(known_before(T) if told else pl.col("ts") < T)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name: untranslated(plan) for name, plan in plans(Path(folder))}
        probe = pl.scan_parquet(Path(folder) / "plain.parquet")
        noticed = bool(untranslated(probe.select(pl.col("amount").ewm_mean(com=1))))
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed, "noticed": noticed}))


if __name__ == "__main__":
    main()
