"""Both engines and both oracles as functions of one shape, to be run over one log and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from oracles import features_duckdb, features_naive
from oracles.features_logs import T, by_user, users_frame
from oracles.features_worked import FULL
from oracles.sequences_naive import received_frame

from features.compute import Job, parted
from features.many import features_at
from features.plan import feature_plan
from features.spec import FeatureSpec
from features.streams import prepare
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device

Row = Mapping[str, Any]
Found = dict[tuple[datetime, str], dict[str, Any]]
Computes = Callable[[Sequence[Row], Sequence[datetime], FeatureSpec, Mapping[str, Row]], Found]
CPU = Device("cpu", "test")


def by_plan(
    log: Sequence[Row], cutoffs: Sequence[datetime], spec: FeatureSpec, users: Mapping[str, Row]
) -> Found:
    """One cutoff at a time, as on the GPU."""
    events, known = received_frame(log).lazy(), users_frame(users).lazy()
    return {
        (t, user): row
        for t in cutoffs
        for user, row in by_user(collect(feature_plan(events, Cutoff(t), spec, known), CPU)).items()
    }


def by_prefix_sums(
    log: Sequence[Row], cutoffs: Sequence[datetime], spec: FeatureSpec, users: Mapping[str, Row]
) -> Found:
    """All cutoffs at once, but those alone that an event lies before and arrived after."""
    rows = collect(prepare(received_frame(log).lazy(), spec), CPU)
    nothing: Any = None  # the parts are told by the cutoffs and the spec
    job = Job(nothing, nothing, tuple(Cutoff(t) for t in cutoffs), spec, CPU)
    parts = parted(job, rows, users_frame(users).lazy())
    found = pl.concat([features_at(part) for part in parts])
    return by_cutoff_and_user(found.sort("cutoff", "user_id"))


def naively(
    log: Sequence[Row], cutoffs: Sequence[datetime], spec: FeatureSpec, users: Mapping[str, Row]
) -> Found:
    return {
        (t, user): row
        for t in cutoffs
        for user, row in features_naive.features(log, t, spec, users).items()
    }


def in_sql(
    log: Sequence[Row], cutoffs: Sequence[datetime], spec: FeatureSpec, users: Mapping[str, Row]
) -> Found:
    return features_duckdb.features(received_frame(log), cutoffs, spec, users_frame(users))


def one(compute: Computes, log: Sequence[Row], spec: FeatureSpec = FULL) -> dict[str, Any]:
    """What is said of the only eligible user at T."""
    [values] = compute(log, [T], spec, {}).values()
    return values


ENGINES: Mapping[str, Computes] = {"plan": by_plan, "prefix sums": by_prefix_sums}
ORACLES: Mapping[str, Computes] = {"Python": naively, "DuckDB": in_sql}


def by_cutoff_and_user(frame: pl.DataFrame) -> Found:
    return {(row.pop("cutoff"), row.pop("user_id")): row for row in frame.to_dicts()}
