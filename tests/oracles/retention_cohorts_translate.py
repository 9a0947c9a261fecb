"""Run by an interpreter that has the [gpu] extra: translates every plan of retention tables.

Prints one JSON object: what could not be translated, by the name of the plan, and whether a plan
that cannot be was noticed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

os.environ["RAPIDS_NO_INITIALIZE"] = "1"  # before cuDF is imported: there may be no device

import polars as pl
from oracles.features_translate import untranslated
from oracles.retention_world import settings_in

from events.contract import EVENTS, TIME
from events.properties import Dimension
from events.users import VALID_FROM
from features.time import Cutoff
from retention.asking import MEASURES, MONEY, Did, Question
from retention.cells import MODES, Cell, cells_of
from retention.cohorts import cohort_plan
from retention.drill import Wanted, listed_plan
from retention.pooling import values_plan

ZONE = "Europe/Berlin"
START = datetime(2024, 1, 1, tzinfo=UTC)
SETTINGS = settings_in(
    Path(),
    ZONE,
    activity={"events": ["a", "b"], "exclude": ["mail"]},
    value={"events": ["buy"]},
)
CLOCKS = ("calendar", "elapsed")
ANCHORS = ("first", "first_in_range", "every", Cutoff(START))
GROUPS: dict[str, dict[str, Any]] = {
    "all": {},
    "channel": {"by": Dimension("channel", "column")},
    "property": {"by": Dimension('a "b"', "property"), "kept": ("x", "y")},
    "attribute": {"by": Dimension("plan", "attribute")},
    "number": {"by": Dimension("age", "attribute"), "kept": ("3",)},
    "did": {"did": Did("a", 2, 3)},
}
PLAIN = Question(
    settings=SETTINGS,
    mode="nday",
    period="day",
    cohort="week",
    clock="calendar",
    cells=cells_of("nday", "day", 5, None),
    anchor="first",
    covered_until=START + timedelta(days=90),
)


def questions() -> Iterator[tuple[str, Question]]:
    for mode, clock, anchor, group in product(MODES, CLOCKS, ANCHORS, GROUPS):
        asked = replace(PLAIN, mode=mode, cells=cells_of(mode, "day", 7, None), clock=clock)
        name = "cutoff" if isinstance(anchor, Cutoff) else anchor
        if name == "cutoff" and group in ("channel", "property"):
            continue
        since = START if anchor == "first_in_range" else None
        asked = replace(asked, anchor=anchor, since=since, **GROUPS[group])
        yield f"{mode}, {clock}, {name}, {group}", asked
    for measure, clock, anchor, mode in product(MEASURES, CLOCKS, ANCHORS, ("nday", "bracket")):
        asked = replace(PLAIN, mode=mode, clock=clock, anchor=anchor, measure=measure)
        since = START if anchor == "first_in_range" else None
        cells = cells_of(mode, "day", 5, None if mode == "nday" else [(0, 0), (2, 4), (6, 9)])
        yield f"{measure}, {clock}, {anchor}, {mode}", replace(asked, cells=cells, since=since)
    for period, clock, anchor in product(("week", "month"), CLOCKS, ANCHORS[2:]):
        asked = replace(PLAIN, period=period, cohort="month", clock=clock, anchor=anchor)
        yield f"{period}, {clock}, {anchor}", asked
    named = replace(PLAIN, start=("a", "buy"), back=("b",), until=START)
    yield "start and back", named
    yield "start and back, every", replace(named, anchor="every")
    assert set(MONEY) <= set(MEASURES)


def plans(events: pl.LazyFrame, users: dict[str, pl.LazyFrame]) -> Iterator[tuple[str, Any]]:
    for name, asked in questions():
        held = users["in time"] if asked.needs_users else None
        yield name, cohort_plan(events, asked, held, lies_in_order=True)
    for group, how in GROUPS.items():
        asked = replace(PLAIN, **how)
        for kind, held in users.items():
            yield f"unsorted, {group}, users {kind}", cohort_plan(events, asked, held)
        if asked.by is not None:
            yield f"values, {group}", values_plan(events, asked, users["plain"], True)
        for lost, who in product((False, True), (None, ("value", "x"), ("other", None))):
            if who is not None and group == "all":
                continue
            wanted = Wanted(1, (7, 8), who, lost)
            listed = listed_plan(events, asked, wanted, users["plain"], True)
            yield f"listed, {group}, {lost}, {who}", listed
    rolling = replace(PLAIN, mode="rolling", cells=(Cell(0, None), Cell(1, None)))
    yield "listed, rolling", listed_plan(events, rolling, Wanted(1, (7,), None, False))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < START)
        schema = {"user_id": pl.String(), "plan": pl.String(), "age": pl.Float64()}
        users = {}
        for kind, more in (("plain", {}), ("in time", {VALID_FROM: TIME})):
            file = Path(folder, f"{kind}.parquet")
            pl.DataFrame(schema={**schema, **more}).write_parquet(file)
            users[kind] = pl.scan_parquet(file)
        found = {name: untranslated(plan) for name, plan in plans(events, users)}
        noticed = bool(untranslated(events.select(pl.col("amount").ewm_mean(com=1))))
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed, "noticed": noticed}))


if __name__ == "__main__":
    main()
