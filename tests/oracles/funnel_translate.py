"""Run by an interpreter that has the [gpu] extra: translates every plan of a funnel to cuDF's.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import polars as pl
from oracles.features_translate import untranslated

from events.contract import EVENTS, TIME
from events.properties import Dimension
from events.users import VALID_FROM
from retention.funnel_plan import Bucket, counts_plan, users_plan, values_plan
from retention.steps import ORDERS, Exclusion, FunnelQuestion

START = datetime(2024, 1, 1, tzinfo=UTC)
PRODUCT = Dimension("product", "property")
PLAN = Dimension("plan", "attribute")
HOLDS = (None, PRODUCT, Dimension("channel", "column"))
BYS = (None, PRODUCT, PLAN)
USERS = {"user_id": pl.String(), "plan": pl.String(), VALID_FROM: TIME}


def questions() -> dict[str, FunnelQuestion]:
    found = {}
    for order, hold, by in product(ORDERS, HOLDS, BYS):
        asked = FunnelQuestion(
            steps=(("a",), ("b", "c") if order != "any" else ("b",), ("a",)),
            within_us=1_000_000,
            since=START,
            until=None,
            covered_until=START,
            order=order,
            exclude=(Exclusion("x", 1, 3),),
            hold=hold,
            by=by,
        )
        found[f"{order}-{hold and hold.name}-{by and by.name}"] = asked
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, people = Path(folder, "events.parquet"), Path(folder, "users.parquet")
        pl.DataFrame(schema=dict(EVENTS.schema)).write_parquet(path)
        pl.DataFrame(schema=USERS).write_parquet(people)
        events = pl.scan_parquet(path).filter(pl.col("ts") < START)
        found = {}
        for (name, asked), in_order in product(questions().items(), (False, True)):
            bucket = Bucket(events, in_order, pl.scan_parquet(people))
            plans = {"counts": counts_plan(bucket, asked, ("web",))}
            plans["users"] = users_plan(bucket, asked, ("web",))
            if asked.by is not None:
                plans["values"] = values_plan(bucket, asked)
            for kind, plan in plans.items():
                found[f"{kind}-{name}-{in_order}"] = untranslated(plan)
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed}))


if __name__ == "__main__":
    main()
