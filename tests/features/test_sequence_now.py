"""The sequences of a bucket at one cutoff: those that are built, without a file."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from oracles import sequences_naive
from oracles.features_logs import EVENTS_SEEN, T, events_frame, settings_of, write_store
from oracles.sequences_naive import received_frame

from events.contract import EVENTS, TIME
from events.store import EventStore, open_store
from features.definitions import Definitions
from features.learn import learn_spec
from features.sequence_build import build_sequences
from features.sequence_files import open_sequences
from features.sequence_now import LISTS, NAMES, bucket_sequences
from features.sequences import ARRAYS, SECOND_US, micros
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime import tables
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Activity, Churn, Eligible, Settings, Value

CPU = Device("cpu", "test")
PASSIVE = Definitions(Activity(), Eligible(within_days=40), Churn(), Value())
LATE = tables.TableKind("events", EVENTS.version, EVENTS.schema | {"received": TIME}, ("bucket",))
DAY = timedelta(days=1)
LENGTH, BUCKETS = 5, 3
Log = list[dict[str, Any]]


def random_log(seed: int, late: bool) -> Log:
    draw = random.Random(seed)
    found = [
        {
            "user_id": f"user {draw.randrange(30)}",
            "ts": T + timedelta(minutes=draw.randrange(-90 * 24 * 60, 30 * 24 * 60)),
            "event": draw.choice(EVENTS_SEEN),
            "amount": draw.choice((None, -0.0, 1e40, round(draw.lognormvariate(3, 1), 2))),
            "channel": draw.choice((None, "web", "app")),
        }
        for _ in range(600)
    ]
    if late:
        for row in found:
            row["received"] = draw.choice((None, row["ts"] + draw.randrange(60) * DAY))
    return found


def store_of(settings: Settings, log: Log, late: bool) -> EventStore:
    if not late:
        write_store(settings, log, BUCKETS)
        return open_store(settings)
    tables.append(settings.store / "events", LATE, [received_frame(log, BUCKETS)])
    instants = sorted(row["ts"] for row in log)
    as_of = instants[-1] + timedelta(microseconds=1)
    table = tables.open_table(settings.store / "events", LATE)
    return EventStore(table, tuple(range(BUCKETS)), as_of, instants[0], as_of, False)


def contents(frame: pl.DataFrame, cutoff: Cutoff) -> dict[str, dict[str, bytes]]:
    """The bytes of each array by user; the times are told by the ages."""
    held = {}
    for row in frame.iter_rows(named=True):
        arrays = {
            name: pl.Series(row[f"sequence_{name}"], dtype=ARRAYS[name]).to_numpy().tobytes()
            for name in NAMES
            if name in ARRAYS
        }
        held[row["user_id"]] = arrays | {"age": row["sequence_age"]}
    return held


def built(settings: Settings, store: EventStore, cutoff: Cutoff, spec: FeatureSpec) -> Any:
    """The same of the files, by bucket."""
    info = build_sequences(settings, store, [Cutoff(T - 20 * DAY), cutoff], spec, CPU, LENGTH)
    found = open_sequences(info.path)
    held: dict[int, dict[str, Any]] = {}
    for bucket in map(found.bucket, found.buckets):
        held[bucket.bucket] = {}
        at_cutoff = bucket.frame().filter(pl.col("cutoff") == cutoff.at)
        for row in at_cutoff.iter_rows(named=True):
            mine = slice(row["begin"], row["end"])
            arrays = {n: bucket.arrays[n][mine].tobytes() for n in NAMES if n in ARRAYS}
            since = (micros(cutoff.at) - bucket.arrays["ts"][mine]) / SECOND_US
            arrays["age"] = since.astype("f4").tolist()
            held[bucket.bucket][row["user_id"]] = arrays
    return held


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("days", [0, 3])
def test_they_are_what_is_built(tmp_path: Path, late: bool, days: int) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log(days, late)
    store, cutoff = store_of(settings, log, late), Cutoff(T + days * DAY)
    spec = learn_spec(store, Cutoff(T), settings)
    expected = built(settings, store, cutoff, spec)
    for bucket in store.buckets:
        frame = bucket_sequences(store, bucket, cutoff, spec, LENGTH, CPU)
        assert frame["user_id"].is_sorted()
        assert contents(frame, cutoff) == expected[bucket]
    naive = sequences_naive.sequences(log, cutoff.at, spec, LENGTH)
    assert sum(map(len, expected.values())) == len(naive) > 20


def test_what_happens_at_or_after_the_cutoff_changes_nothing(tmp_path: Path) -> None:
    log, found = random_log(1, late=False), []
    for name, rows in (("whole", log), ("cut", [r for r in log if r["ts"] < T])):
        settings = settings_of(PASSIVE, tmp_path / name)
        write_store(settings, [*rows, {**log[0], "ts": T}], 1)
        spec = learn_spec(open_store(settings), Cutoff(T - 10 * DAY), settings)
        found.append(bucket_sequences(open_store(settings), 0, Cutoff(T), spec, LENGTH, CPU))
    assert found[0].equals(found[1], null_equal=True)
    assert found[0]["sequence_age"].list.min().min() > 0  # type: ignore[operator]


def test_nobody_before_the_cutoff_gives_no_row(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    log = [row | {"user_id": "early"} for row in random_log(2, late=False)]
    write_store(settings, log, 64)
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    own = collect(events_frame(log, 64).lazy().select("bucket").head(1), CPU).item()
    assert len(bucket_sequences(store, own, Cutoff(T), spec, LENGTH, CPU)) == 1
    empty = bucket_sequences(store, (own + 1) % 64, Cutoff(T), spec, LENGTH, CPU)
    assert empty.columns == ["user_id", *LISTS]
    assert len(empty) == 0


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log(3, late=False), 1)
    store = open_store(settings)
    spec = learn_spec(store, Cutoff(T), settings)
    with pytest.raises(UsageError, match="name at least 1"):
        bucket_sequences(store, 0, Cutoff(T), spec, 0, CPU)
    with pytest.raises(LabelError, match="lies after the as-of"):
        bucket_sequences(store, 0, Cutoff(T + 90 * DAY), spec, LENGTH, CPU)
    with pytest.raises(LabelError):
        bucket_sequences(store, 0, Cutoff(T - 900 * DAY), spec, LENGTH, CPU)
