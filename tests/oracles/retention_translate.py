"""Run by an interpreter that has the [gpu] extra: translates every retention plan to cuDF's.

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
from oracles.retention_world import settings_in

from events.contract import EVENTS
from retention.lifecycle import lifecycle_plan
from retention.stickiness import changes_plan

ZONE = "Europe/Berlin"
START = datetime(2024, 1, 1, tzinfo=UTC)
SETTINGS = settings_in(Path(), ZONE, activity={"events": ["a", "b"], "exclude": ["mail"]})

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]


PLANS: dict[str, Plan] = {
    "lifecycle-week": lambda e: lifecycle_plan(e, SETTINGS, "week"),
    "lifecycle-month": lambda e: lifecycle_plan(e, SETTINGS, "month"),
    "stickiness": lambda e: changes_plan(e, SETTINGS),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < START)
        found = {name: untranslated(plan(events)) for name, plan in PLANS.items()}
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
