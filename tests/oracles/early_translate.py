"""Prints, as JSON, which plans of early markers do not translate wholly to cuDF.

    python tests/oracles/early_translate.py

Run by an interpreter with the [gpu] extra: see `tests/gpu_python.py`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import polars as pl
from oracles.features_translate import untranslated

from events.contract import EVENTS
from retention.early_plan import (
    KINDS,
    Candidate,
    EarlyQuestion,
    done_by_plan,
    early_plan,
    newcomers_plan,
)
from runtime.settings import Activity, Value

ZONE = "Europe/Berlin"
START = datetime(2024, 1, 1, tzinfo=UTC)
ASKED = EarlyQuestion(
    activity=Activity(events=("a", "b"), exclude=("mail",)),
    value=Value(events=("b",)),
    pay_events=("a",),
    leaving=(),
    properties=("p",),
    date_only=False,
    session_gap_us=1_000_000,
    first_days=(1, 3, 7),
    counts=(1, 2, 5),
    stay=(30, 60),
    pay_until=60,
    since=START,
    until=None,
    last=START,
    split=START,
    zone=ZONE,
)

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]


def plans() -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    for date_only, in_order in product((True, False), (True, False)):
        asked = replace(ASKED, date_only=date_only)
        name = f"{'dates' if date_only else 'times'}-{'sorted' if in_order else 'unsorted'}"
        found[f"early-{name}"] = lambda e, a=asked, o=in_order: early_plan(e, a, in_order=o)
        found[f"newcomers-{name}"] = lambda e, o=in_order: newcomers_plan(
            e, START, None, START, ZONE, in_order=o
        )
        for kind, outcome in product(KINDS, ("pays", "stays")):
            marker = Candidate(outcome, kind, "a", 2, 3)
            found[f"users-{name}-{kind}-{outcome}"] = lambda e, a=asked, m=marker, o=in_order: (
                done_by_plan(e, a, m, in_order=o)
            )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < START)
        every = plans()
        found = {name: untranslated(plan(events)) for name, plan in every.items()}
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
