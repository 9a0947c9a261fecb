"""Every plan of this floor would run wholly on cuDF. Needs the [gpu] extra, not a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from oracles.retention_world import settings_in

from events.contract import EVENTS
from events.daily import daily_plan
from features.time import Cutoff
from retention.cells import MODES, cells_of
from retention.cohorts import Question, cohort_plan
from retention.lifecycle import lifecycle_plan
from retention.steps import FunnelQuestion, funnel_plan
from retention.stickiness import changes_plan

pytestmark = pytest.mark.gpu_plans

ZONE = "Europe/Berlin"
START = datetime(2024, 1, 1, tzinfo=UTC)
SETTINGS = settings_in(Path(), ZONE, activity={"events": ["a", "b"], "exclude": ["mail"]})

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]


def cohort_plans() -> dict[str, Plan]:
    plans: dict[str, Plan] = {}
    for mode, clock, anchor in product(
        MODES, ("calendar", "elapsed"), ("first", "first_in_range", Cutoff(START))
    ):
        for period in ("day", "week", "month"):
            asked = Question(
                settings=SETTINGS,
                mode=mode,
                period=period,
                cohort=period,
                clock=clock,
                cells=cells_of(mode, period, None, None),
                anchor=anchor,
                since=START if anchor == "first_in_range" else None,
                until=None,
                users=None,
            )
            name = "cutoff" if isinstance(anchor, Cutoff) else anchor
            plans[f"{mode}-{clock}-{period}-{name}"] = lambda e, a=asked: cohort_plan(e, a)
    return plans


PLANS: dict[str, Plan] = {
    **cohort_plans(),
    "funnel": lambda e: funnel_plan(
        e, FunnelQuestion(("a", "b", "a"), 1_000_000, START, None, START)
    ),
    "lifecycle-week": lambda e: lifecycle_plan(e, SETTINGS, "week"),
    "lifecycle-month": lambda e: lifecycle_plan(e, SETTINGS, "month"),
    "stickiness": lambda e: changes_plan(e, SETTINGS),
    "daily": lambda e: daily_plan(e, ZONE),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_translates_to_cudf(name: str, tmp_path: Path) -> None:
    os.environ.setdefault("RAPIDS_NO_INITIALIZE", "1")
    cudf_polars = pytest.importorskip("cudf_polars", reason="the [gpu] extra is not installed")
    path = tmp_path / "events.parquet"
    pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
    plan = PLANS[name](pl.scan_parquet(path).filter(pl.col("ts") < START))
    engine = pl.GPUEngine(executor="in-memory", raise_on_fail=True)
    translator = cudf_polars.Translator(plan._ldf.visit(), engine)
    translator.translate_ir()
    assert translator.errors == []
