"""Run by an interpreter that has the [gpu] extra: translates the plans of tracking to cuDF's.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from oracles.features_translate import untranslated

from events.contract import EVENTS
from events.daily import Asked, daily_plan
from events.look import channels_plan
from runtime.settings import Activity

NOW = datetime(2024, 1, 1, tzinfo=UTC)
PLAIN = Asked("UTC")
FULL = Asked(
    "Europe/Berlin",
    channels=("app", "web"),
    properties=("item", 'a "quoted" (name)'),
    activity=Activity(events=("a", "b"), exclude=("mail",)),
    arrivals=True,
    since=datetime(2023, 1, 1, tzinfo=UTC),
)

PLANS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "plain": lambda e: daily_plan(e, PLAIN),
    "in order": lambda e: daily_plan(e, PLAIN, in_order=True),
    "full": lambda e: daily_plan(e, FULL),
    "date only": lambda e: daily_plan(e, Asked("UTC", repeats=False)),
    "channels": channels_plan,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < NOW)
        found = {name: untranslated(plan(events)) for name, plan in PLANS.items()}
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
