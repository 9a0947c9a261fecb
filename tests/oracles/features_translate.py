"""Run by an interpreter that has the [gpu] extra: translates every plan to cuDF's, runs none.

Prints one JSON object: what could not be translated, by the name of the plan.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

os.environ["RAPIDS_NO_INITIALIZE"] = "1"  # before cuDF is imported: there may be no device

import polars as pl
from oracles.features_logs import (
    ATTRIBUTES,
    EVENTS_SEEN,
    USERS,
    T,
    events_frame,
    settings_of,
    users_frame,
    write_store,
)
from oracles.features_worked import FULL, WHOLE

from events.store import open_store
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.labels import label_plan, labels_of
from features.own import own_file
from features.plan import feature_plan, prepared_plan
from features.spec import FeatureSpec
from features.streams import prepare
from features.time import Cutoff, Window
from runtime.settings import Activity, Churn, Eligible, Value

OWN = Path(__file__).parents[2] / "examples" / "own_features.py"
CHURNS = {
    "passive": Churn(kind="passive", gap_days=7),
    "active event": Churn(kind="active", events=("cancel",), gap_days=7),
    "active date": Churn(kind="active", date_column="left"),
    "active both": Churn(kind="active", events=("cancel", "Buy"), date_column="left", gap_days=2),
    "lapse": Churn(kind="lapse", events=("buy",), period_days=30, grace_days=2, gap_days=1),
}
ACTIVITIES = {
    "all": Activity(),
    "some": Activity(events=("view", "buy"), exclude=("Buy",)),
}


def specs() -> Iterator[tuple[str, FeatureSpec]]:
    short = Definitions(Activity(), Eligible(within_days=90), Churn(), Value())
    full = replace(FULL, attributes=ATTRIBUTES, definitions=short)
    bought = Value(events=("buy",), horizon_days=60)
    yield "full", full
    yield "no windows", replace(full, windows=())
    yield "no names", replace(full, events=(), channels=(), timezone="UTC")
    for flag in ("has_amount", "has_events", "has_channels", "has_times", "attributes"):
        yield f"without {flag}", replace(full, **{flag: () if flag == "attributes" else False})
    for name in ("default", "lean", "full"):
        yield f"set {name}", replace(WHOLE, set=name)
    yield "own features", replace(WHOLE, own=own_file(OWN))
    yield "one window", replace(WHOLE, windows=(Window(1),))
    named = {"set": "mine", "chosen": ("user_*",)}
    yield "nothing but users", replace(WHOLE, windows=(), peers=(), **named)
    for kind, churn in CHURNS.items():
        for name, activity in ACTIVITIES.items():
            meant = Definitions(activity, Eligible(), churn, bought)
            yield f"{kind}, {name} active", replace(WHOLE, definitions=meant)


def plans(folder: Path) -> Iterator[tuple[str, pl.LazyFrame]]:
    """Every variant over files, as the store has them: a literal frame would want a device."""
    log = [
        {"user_id": user, "ts": T - timedelta(hours=hours), "event": event, "amount": 1.0}
        | {"channel": "web"}
        for user in USERS
        for hours, event in enumerate(EVENTS_SEEN)
    ]
    people = {user: {"age": 3.0, "plan": "gold", "left": T} for user in USERS}
    users_frame(people).write_parquet(folder / "users.parquet")
    users = pl.scan_parquet(folder / "users.parquet")
    for number, (name, spec) in enumerate(specs()):
        settings = settings_of(spec.definitions, folder / str(number))
        write_store(settings, log)
        write_store(settings, log)  # a second file in the bucket
        events = open_store(settings).scan(0)
        cutoff = Cutoff(T)
        yield f"features: {name}", feature_plan(events, cutoff, spec, users)
        yield f"eligible: {name}", eligible_plan(events, cutoff, spec.definitions, users)
        for paid in (True, False):
            labels = label_plan(events, cutoff, settings, users, has_amount=paid)
            yield f"labels: {name}, amounts {paid}", labels
        staged = folder / f"{number}.parquet"
        prepare(events_frame(log).lazy(), spec).sink_parquet(staged)
        rows = pl.scan_parquet(staged)
        yield f"prepared rows: {name}", prepare(events, spec)
        yield f"prepared features: {name}", prepared_plan(rows, cutoff, spec, users)
        yield (
            f"prepared labels: {name}",
            labels_of(rows, "number", cutoff, settings, users, has_amount=True),
        )


def untranslated(plan: pl.LazyFrame) -> list[str]:
    from cudf_polars import Translator

    engine = pl.GPUEngine(executor="in-memory", raise_on_fail=True)
    translator = Translator(plan._ldf.visit(), engine)
    translator.translate_ir()
    return [str(error) for error in translator.errors]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name: untranslated(plan) for name, plan in plans(Path(folder))}
        probe = pl.scan_parquet(Path(folder) / "users.parquet").select(
            pl.col("age").ewm_mean(com=1)
        )
        noticed = bool(untranslated(probe))
    failed = {name: errors for name, errors in found.items() if errors}
    sys.stdout.write(json.dumps({"plans": len(found), "failed": failed, "noticed": noticed}))


if __name__ == "__main__":
    main()
