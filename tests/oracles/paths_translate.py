"""Run by an interpreter that has the [gpu] extra: translates every plan of paths to cuDF's.

Prints one JSON object: what could not be translated, by the name of the plan.
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
from oracles.retention_world import settings_in

from events.contract import EVENTS
from events.names import names_plan
from features.time import Cutoff
from retention.path_counts import counts_plan, pairs_plan
from retention.path_grams import before_plan, gone_plan, labelled_plan
from retention.path_nodes import Nodes
from retention.path_question import PathQuestion
from retention.path_rows import named_rows
from retention.path_users import figure_plan, list_plan, target_of

START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2024, 3, 1, tzinfo=UTC)
MANY = tuple(f"e{n}" for n in range(100))
CHURNS = {
    "passive": {"kind": "passive", "gap_days": 7},
    "active": {"kind": "active", "events": ["cancel"]},
    "lapse": {"kind": "lapse", "events": ["a"], "period_days": 30},
}

Plan = Callable[[pl.LazyFrame], pl.LazyFrame]


def asked(origin: str, per: str, steps: int, **others: object) -> PathQuestion:
    backward = origin == "until"
    kept = MANY if steps > 5 else ("a", "b")
    found = PathQuestion(
        nodes=Nodes(kept, ("c", "d"), per, backward),  # type: ignore[arg-type]
        origin=origin,  # type: ignore[arg-type]
        event=None if origin == "start" else kept[0],
        steps=steps,
        collapse=False,
        exclude=(),
        gap_us=1_800_000_000,
        since=START,
        until=LATER,
        end=LATER,
        earlier=True,
    )
    return replace(found, **others)  # type: ignore[arg-type]


def rows(events: pl.LazyFrame, question: PathQuestion, *, in_order: bool) -> pl.LazyFrame:
    return named_rows(events, question.kinds, question.since, question.until, in_order=in_order)


def path_plans() -> dict[str, Plan]:
    plans: dict[str, Plan] = {"names": names_plan}
    for origin, per, steps in product(("start", "from", "until"), ("session", "user"), (5, 20)):
        for name, others in (("plain", {}), ("odd", {"collapse": True, "exclude": ("x",)})):
            q = asked(origin, per, steps, **others)
            called = f"{origin}-{per}-{steps}-{name}"
            plans[called] = lambda e, q=q: counts_plan(pairs_plan(rows(e, q, in_order=False), q), q)
            way = f"{q.nodes.kept[1]} > {q.nodes.kept[0]}"
            for kind in ("path", "transition"):
                one = {"path": None, "transition": None} | {kind: way}
                target = target_of(q, **one, step=None)
                plans[f"{called}-{kind}-figure"] = lambda e, q=q, t=target: figure_plan(
                    pairs_plan(rows(e, q, in_order=True), q), q, t
                )
                plans[f"{called}-{kind}-list"] = lambda e, q=q, t=target: list_plan(
                    rows(e, q, in_order=True), q, t
                )
    return plans


def churn_plans() -> dict[str, Plan]:
    plans: dict[str, Plan] = {}
    for (name, churn), whole, per in product(CHURNS.items(), (True, False), ("session", "user")):
        settings = settings_in(Path(), churn=churn)
        q = asked("start", per, 3)
        plans[f"before-{name}-{whole}-{per}"] = lambda e, q=q, s=settings, w=whole: before_plan(
            rows(e, q, in_order=True), labelled_plan(e, Cutoff(LATER), s, None), q, whole=w
        )
        plans[f"gone-{name}-{whole}-{per}"] = lambda e, q=q, s=settings, w=whole: gone_plan(
            rows(e, q, in_order=True), labelled_plan(e, Cutoff(LATER), s, None), q, (1, 2), whole=w
        )
    return plans


PLANS: dict[str, Plan] = {**path_plans(), **churn_plans()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        events = pl.scan_parquet(path).filter(pl.col("ts") < LATER)
        found = {name: untranslated(plan(events)) for name, plan in PLANS.items()}
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
