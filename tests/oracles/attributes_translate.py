"""Run by an interpreter that has the [gpu] extra: the plans over users whose rows have a time."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

os.environ["RAPIDS_NO_INITIALIZE"] = "1"  # before cuDF is imported: there may be no device

import polars as pl
from oracles.features_logs import T, users_frame
from oracles.features_translate import CHURNS, untranslated

from events.contract import TIME
from events.users import VALID_FROM
from features.attributes import latest, valid_at, valid_before
from features.definitions import Definitions
from features.eligible import with_dates
from runtime.settings import Activity, Eligible, Value


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "users.parquet")
        people = users_frame({"a": {"age": 3.0, "plan": "gold", "left": T}})
        rows = [
            people.with_columns(pl.lit(T - timedelta(days=n), TIME).alias(VALID_FROM))
            for n in (1, 2)
        ]
        pl.concat(rows).write_parquet(file)
        users = pl.scan_parquet(file)
        by_date = Definitions(Activity(), Eligible(), CHURNS["active date"], Value())
        plans = {
            "valid at": valid_at(users, T),
            "valid before": valid_before(users, T),
            "latest": latest(users),
            "dates": with_dates(users.select("user_id"), users, by_date),
        }
        failed = {name: errors for name, plan in plans.items() if (errors := untranslated(plan))}
        noticed = bool(untranslated(users.select(pl.col("age").ewm_mean(com=1))))
    sys.stdout.write(json.dumps({"plans": len(plans), "failed": failed, "noticed": noticed}))


if __name__ == "__main__":
    main()
