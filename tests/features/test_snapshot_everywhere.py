"""The same snapshot whatever the number of buckets and wherever they are computed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster_work import TracedWork, by_hand, calls, kill_the_worker_of
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project

from events.ingest import ingest
from features import snapshots
from features.snapshots import read, snapshot
from runtime.cluster import IN_PROCESS, Cluster, LocalProcesses, Scheduler
from runtime.device import Device
from runtime.settings import Settings, load_settings

CPU = Device("cpu", "test")
USERS = 300
CUTOFFS = [datetime(2024, month, 1, tzinfo=UTC) for month in (4, 5, 6, 7)]
MIDST = 5  # the bucket whose worker is killed


def project(folder: Path, buckets: int) -> Settings:
    settings = load_settings(write_small_project(folder, small_log(USERS), buckets=buckets))
    ingest(settings)
    return settings


def taken(settings: Settings, cluster: Cluster = IN_PROCESS) -> pl.DataFrame:
    found = snapshot(settings, CUTOFFS, None, CPU, cluster)
    filled = {path.parent.name for path in (settings.store / "events").glob("bucket=*/*")}
    assert found.buckets_computed == len(filled) > 0
    return read(found)


@cache
def expected() -> pl.DataFrame:
    """Of 16 buckets, in this process."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return taken(project(Path(folder), 16))


def assert_the_same(found: pl.DataFrame) -> None:
    """Whole numbers, users and instants exactly, floats to 1e-9."""
    assert expected().height > USERS
    assert set(expected()["cutoff"].unique()) == set(CUTOFFS)
    assert found.schema == expected().schema
    whole = [name for name, kind in found.schema.items() if not kind.is_float()]
    assert len(whole) > 20
    assert_frame_equal(found.select(whole), expected().select(whole))
    assert_frame_equal(found, expected(), rel_tol=1e-9, abs_tol=1e-9)


def _bucket(*arguments: Any) -> int:
    """Of features.snapshots._write_bucket's arguments."""
    keys, key = arguments[4:6]
    return int(keys[key])


def test_one_bucket(tmp_path: Path) -> None:
    assert_the_same(taken(project(tmp_path, 1)))


@pytest.mark.slow
def test_256_buckets(tmp_path: Path) -> None:
    assert_the_same(taken(project(tmp_path, 256)))


def test_two_processes(tmp_path: Path) -> None:
    assert_the_same(taken(project(tmp_path, 16), LocalProcesses(2)))


def test_a_scheduler_and_two_workers_of_which_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, traces = project(tmp_path / "project", 16), tmp_path / "traces"
    work = TracedWork(snapshots.__name__, "_write_bucket", _bucket, traces, waits=(MIDST,))
    monkeypatch.setattr(snapshots, "_write_bucket", work)
    with by_hand(tmp_path / "hand", workers=2) as cluster:
        killer = kill_the_worker_of(MIDST, traces)
        found = taken(settings, Scheduler(cluster.address))
        killer.join()
        assert sorted(worker.poll() is None for worker in cluster.workers) == [False, True]
    assert_the_same(found)
    by = calls(traces)
    assert sorted(by) == list(range(16))
    assert {bucket: len(pids) for bucket, pids in by.items() if len(pids) > 1} == {MIDST: 2}
    assert len(set(by[MIDST])) == 2
