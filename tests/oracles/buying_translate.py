"""Run by an interpreter that has the [gpu] extra: translates the plan of histories to cuDF's.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

# First, as it keeps cuDF from looking for a device.
from oracles.features_translate import untranslated  # isort: skip

import polars as pl
from oracles.features_logs import T

from events.properties import Dimension
from events.users import VALID_FROM
from features.definitions import value_amount
from features.time import Cutoff
from runtime.settings import Value
from training.buying_data import purchases_plan
from training.buying_firsts import first_plan


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        told = {"channel": ["web"], "properties": ['{"size": "2"}'], "event": ["order"]}
        frame = pl.DataFrame({"user_id": ["a"], "ts": [T], "amount": [1.0], **told})
        frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))).write_parquet(path)
        events = pl.scan_parquet(path)
        found = {
            f"{unit}, {zone}, {free}": untranslated(
                purchases_plan(events, Cutoff(T), zone, unit, free=free)  # type: ignore[arg-type]
            )
            for unit in ("day", "week")
            for zone in ("UTC", "Europe/Berlin")
            for free in (False, True)
        }
        known = Path(folder) / "users.parquet"
        plans = pl.DataFrame({"user_id": ["a"], "plan": ["free"], VALID_FROM: [T]})
        plans.with_columns(pl.col(VALID_FROM).cast(pl.Datetime("us", "UTC"))).write_parquet(known)
        users = pl.scan_parquet(known)
        firsts = {
            "first_channel": Dimension("channel", "column"),
            "first_size": Dimension("size", "property"),
            "first_plan": Dimension("plan", "attribute"),
        }
        bought = events.with_columns(amount=value_amount(Value(events=("order",))))
        found["firsts"] = untranslated(first_plan(bought, Cutoff(T), firsts, users))
        noticed = bool(untranslated(events.select(pl.col("amount").ewm_mean(com=1))))
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed, "noticed": noticed}))


if __name__ == "__main__":
    main()
