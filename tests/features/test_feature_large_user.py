"""A user with a million events beside one with a single event: every sum is right and quick."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from oracles.features_engines import by_cutoff_and_user
from oracles.features_logs import T, by_user, events_frame
from oracles.features_worked import DAY, FULL, row

from features.dictionary import dictionary
from features.many import Bucket, features_at
from features.plan import feature_plan
from features.streams import prepare
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "test")
N = 1_000_000
WEEK = 7 * 24 * 60  # minutes, and so events
SPEC = replace(FULL, timezone="UTC", channels=("web",))
Computes = Callable[[pl.DataFrame], dict[Any, dict[str, Any]]]


def log() -> pl.DataFrame:
    """'big' did something each minute up to the last before T, the k-th before it worth k cents;
    'one' a single thing a day before T."""
    k = pl.int_range(1, N + 1, dtype=pl.Int64, eager=True)
    one = events_frame([row(24 * 60, "buy", user_id="one", amount=0.5)])
    big = pl.select(
        user_id=pl.lit("big"),
        ts=pl.lit(T, one.schema["ts"]) - k * timedelta(minutes=1),
        event=pl.when(k % 4 == 0).then(pl.lit("buy")).otherwise(pl.lit("view")),
        amount=k / 100,
        channel=pl.lit("web"),
    )
    return pl.concat([one, big], how="diagonal").select(one.columns)


def in_plan(events: pl.DataFrame) -> dict[Any, dict[str, Any]]:
    return by_user(collect(feature_plan(events.lazy(), Cutoff(T), SPEC, None), CPU))


def by_prefix_sums(events: pl.DataFrame) -> dict[Any, dict[str, Any]]:
    """At thirteen cutoffs, of which the last is looked at."""
    cutoffs = [Cutoff(T - k * 28 * DAY) for k in reversed(range(13))]
    rows = collect(prepare(events.lazy(), SPEC), CPU)
    found = by_cutoff_and_user(features_at(Bucket(rows, rows, None, cutoffs, SPEC)))
    earlier = [v["events_total"] for (at, user), v in found.items() if user == "big"]
    assert earlier == [N - k * 4 * WEEK for k in reversed(range(13))]
    return {user: values for (at, user), values in found.items() if at == T}


@pytest.mark.parametrize("find", [in_plan, by_prefix_sums])
def test_a_million_events_of_one_user(find: Computes) -> None:
    events, began = log(), time.process_time()
    found = find(events)
    took = time.process_time() - began
    assert set(found) == {"big", "one"}
    counts = [name for name, feature in dictionary(SPEC).items() if feature.unit == "count"]
    assert {type(found["big"][name]) for name in counts} == {int}  # Int64 in the frame
    _check_one(found["one"])
    _check_counts(found["big"])
    _check_amounts(found["big"])
    assert took < 60  # CPU seconds; a few are usual, a pass that is quadratic takes hours


def _check_one(one: dict[str, Any]) -> None:
    assert (one["events_total"], one["amount_total"], one["recency_days"]) == (1, 0.5, 1.0)
    assert (one["streak_max_days"], one["sessions_total"], one["amount_mean_7d"]) == (1, 1, 0.5)
    assert (one["gap_mean_days"], one["amount_deviation"]) == (None, None)


def _check_counts(big: dict[str, Any]) -> None:
    """A million minutes are 694 days and 640 minutes. Half past noon is 750 minutes after
    midnight, so the first event lies at ten to two, and 695 dates have one."""
    assert (big["events_total"], big["events_7d"], big["events_90d"]) == (N, WEEK, 90 * 1440)
    assert (big["active_days_total"], big["streak_max_days"], big["gap_max_days"]) == (695, 695, 1)
    assert (big["gap_mean_days"], big["gap_deviation_days"], big["gap_memory"]) == (1.0, 0.0, None)
    # A week of 168 hours from half past noon touches eight dates.
    assert (big["active_days_7d"], big["sessions_7d"], big["session_depth_7d"]) == (8, 1, WEEK)
    assert (big["sessions_total"], big["session_depth_max"]) == (1, N)
    assert (big["session_depth_total"], big["session_minutes_max"]) == (N, N - 1)
    assert (big["event_total_buy"], big["event_total_view"]) == (N // 4, 3 * N // 4)
    assert (big["events_slope_4_weeks"], big["events_change_7d_30d"]) == (0.0, pytest.approx(1.0))
    # Halved every 7 days: a geometric series with the ratio of a minute.
    ratio = 0.5 ** (1 / WEEK)
    expected = ratio * (1 - ratio**N) / (1 - ratio)
    assert math.isclose(big["activity_decay_7d"], expected, rel_tol=1e-9)


def _check_amounts(big: dict[str, Any]) -> None:
    """Of 1 to n: the sum is n (n + 1) / 2, and the sample's variance n (n + 1) / 12."""
    for name, n in (("total", N), ("7d", WEEK), ("365d", 365 * 1440)):
        assert math.isclose(big[f"amount_{name}"], n * (n + 1) / 200, rel_tol=1e-12)
    assert math.isclose(big["amount_mean"], (N + 1) / 200, rel_tol=1e-12)
    deviation = math.sqrt(N * (N + 1) / 12) / 100
    assert math.isclose(big["amount_deviation"], deviation, rel_tol=1e-9)
    assert (big["amount_max"], big["amount_last"], big["purchases_total"]) == (N / 100, 0.01, N)
    assert math.isclose(big["purchase_gap_mean_days"], (N - 1) / 1440 / 694, rel_tol=1e-12)
