"""Run by an interpreter that has the [gpu] extra: translates the plans of activity, RFM, layers
and movements to cuDF's, runs none.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

os.environ["RAPIDS_NO_INITIALIZE"] = "1"  # before cuDF is imported: there may be no device

import polars as pl
from oracles.features_translate import untranslated
from oracles.retention_world import settings_in

from events.calendar import PERIODS, Period, period_at
from events.contract import EVENTS
from features.definitions import Definitions
from retention.activity import activity_plan
from retention.instants import Instants
from retention.layers import moved_plan, standing_plan
from retention.learned import Learned, values_plan
from retention.lifecycle import states_plan
from retention.order_statistics import Edges, binned_plan, distinct_plan
from retention.rfm import Scale, cells_plan, scored_plan
from retention.rfm import values_plan as rfm_values_plan
from retention.user_measures import Asked
from runtime.settings import Settings

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100, hours=5)
SETTINGS = {
    zone: settings_in(Path(), zone, activity={"exclude": ["mail"]}, value={"events": ["buy"]})
    for zone in ("UTC", "Europe/Berlin")
}
SCALES = (Scale((-30.0, -7.0), False), Scale((1.0, 2.0), True), Scale((), False))

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]


def asked_of(settings: Settings, period: Period) -> Asked:
    zone = settings.project.timezone
    first, last = (period_at(at, period, zone) for at in (START, NOW))
    instants = Instants(period, zone, max(first, last - 5) - 1, last, NOW)
    return Asked(instants, Definitions.of(settings), 30, 30, START)


def learned_of(places: int, *, nobody: bool) -> Learned:
    shares = (Decimal("0.75"), Decimal("0.9"))
    edges = Edges(0, ()) if nobody else Edges(10, (1.0, 2.0))
    first = Edges(0, ())  # at the first instant nobody is known
    every = (first, *(edges for _ in range(places - 1)))
    gaps = (None, *(None if nobody else 3.5 for _ in range(places - 1)))
    return Learned(shares, gaps, every, every)


def plans() -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    for zone, settings in SETTINGS.items():
        for period in PERIODS:
            asked = asked_of(settings, period)
            name = f"{zone}-{period}"
            for in_order in (True, False):
                told = replace(asked, arrivals=in_order)
                found |= _of_instants(f"{name}-{in_order}", settings, told, in_order)
                found[f"activity-{name}-{in_order}"] = lambda e, s=settings, p=period, o=in_order: (
                    activity_plan(e, s, p, in_order=o)
                )
            found[f"states-{name}"] = lambda e, s=settings, p=period: states_plan(
                e, s, p, in_order=True
            )
    windowed = settings_in(Path(), lifecycle={"rfm": {"window_days": 90}})
    for name, settings in (*SETTINGS.items(), ("window", windowed)):
        found[f"rfm-values-{name}"] = lambda e, s=settings: rfm_values_plan(e, s, NOW)
        found[f"rfm-cells-{name}"] = lambda e, s=settings: cells_plan(
            scored_plan(e, s, NOW, SCALES)
        )
    return found


def _of_instants(name: str, settings: Settings, asked: Asked, in_order: bool) -> dict[str, Plan]:
    found: dict[str, Plan] = {
        f"bins-{name}": lambda e: binned_plan(values_plan(e, asked, in_order=in_order)),
        f"distinct-{name}": lambda e: distinct_plan(
            values_plan(e, asked, in_order=in_order), [1, 2, 1 << 40]
        ),
    }
    for nobody in (False, True):
        learned = learned_of(len(asked.instants), nobody=nobody)

        def standing(e: pl.LazyFrame, learned: Learned = learned) -> pl.LazyFrame:
            return standing_plan(e, settings, asked, learned, in_order=in_order)

        found[f"standing-{name}-{nobody}"] = standing
        found[f"moved-{name}-{nobody}"] = lambda e, plan=standing: moved_plan(plan(e))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < NOW)
        found = {name: untranslated(plan(events)) for name, plan in plans().items()}
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
