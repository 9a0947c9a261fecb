"""Snapshot tables: the same whatever the buckets, order or threads; resumed, reused, refused."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles import features_labels, features_naive
from oracles.features_logs import T, differences, events_frame, settings_of, write_store
from oracles.features_strategies import definitions, logs
from polars.testing import assert_frame_equal

from events.contract import EVENTS
from events.store import open_store
from features import snapshots
from features.definitions import Definitions
from features.snapshots import Snapshots, build_snapshots, read, read_bucket, snapshot
from features.spec import FeatureSpec, learn_spec
from features.time import Cutoff
from runtime import tables
from runtime.device import Device
from runtime.errors import BucketError, LabelError, StoreError
from runtime.settings import Activity, Churn, Eligible, Settings, Value

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
PASSIVE = Definitions(Activity(), Eligible(), Churn(horizon_days=20), Value())
CUTOFFS = [Cutoff(T), Cutoff(T - 30 * DAY)]


def random_log(users: int = 40, rows: int = 1500, seed: int = 3) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "user_id": f"user {rng.randrange(users)}",
            "ts": T + timedelta(minutes=rng.randrange(-200 * 24 * 60, 40 * 24 * 60)),
            "event": rng.choice(("view", "view", "buy", "cancel", "rare thing")),
            "amount": rng.choice((None, round(rng.lognormvariate(3, 1), 2))),
            "channel": rng.choice((None, "web", "app")),
        }
        for _ in range(rows)
    ]


def built(folder: Path, log: list[dict[str, Any]], buckets: int, **given: Any) -> pl.DataFrame:
    settings = settings_of(PASSIVE, folder)
    write_store(settings, log, buckets)
    return read(snapshots_of(settings, **given))


def snapshots_of(settings: Settings, *, labelled: bool = True) -> Snapshots:
    store = open_store(settings)
    spec = learn_spec(store, CUTOFFS[-1], settings)
    return build_snapshots(settings, store, CUTOFFS, spec, CPU, labelled)


def test_snapshots_hold_the_features_and_labels_of_the_naive_versions(tmp_path: Path) -> None:
    log = random_log(users=15, rows=300)
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, log, buckets=3)
    found = snapshots_of(settings)
    spec = learn_spec(open_store(settings), CUTOFFS[-1], settings)
    frame = read(found)
    assert frame.columns == ["cutoff", "user_id", *found.features, "churn", "value"]
    assert found.rows == frame.height
    for cutoff in CUTOFFS:
        mine = read(found, [cutoff]).drop("cutoff")
        expected = features_naive.features(log, cutoff.at, spec, {})
        labels = features_labels.labels(log, cutoff.at, settings, {})
        for user, row in expected.items():
            row |= dict(zip(("churn", "value"), labels[user], strict=True))
        assert differences({r.pop("user_id"): r for r in mine.to_dicts()}, expected) == []


@pytest.mark.parametrize("buckets", [1, 2, 16])
def test_buckets_and_row_order_change_no_row(tmp_path: Path, buckets: int) -> None:
    log = random_log()
    shuffled = random.Random(buckets).sample(log, len(log))
    expected = built(tmp_path / "one", log, 1)
    found = built(tmp_path / "other", shuffled, buckets)
    assert_frame_equal(found, expected, rel_tol=1e-9, abs_tol=1e-9)


dateless = definitions.filter(lambda meant: meant.churn.date_column is None)


@hypothesis_settings(max_examples=15, deadline=None)
@given(log=logs, meant=dateless, data=st.data())
def test_row_order_changes_no_row_of_awkward_logs(
    tmp_path_factory: pytest.TempPathFactory, log: Any, meant: Definitions, data: Any
) -> None:
    frames = []
    for rows in (log, data.draw(st.permutations(log))):
        settings = settings_of(meant, tmp_path_factory.mktemp("log"))
        write_store(settings, [*rows, {**log[0], "ts": T - 40 * DAY, "event": "view"}])
        spec = learn_spec(open_store(settings), Cutoff(T), settings)
        try:
            store = open_store(settings)
            frames.append(read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, False)))
        except LabelError:
            frames.append(pl.DataFrame())
    assert_frame_equal(frames[0], frames[1], rel_tol=1e-9, abs_tol=1e-9)


def test_threads_change_no_row(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path / "log")
    log = random_log(users=60, rows=4000)
    write_store(settings, log, 2)
    frames = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.parquet"
        subprocess.run(
            [sys.executable, __file__, str(tmp_path / "log"), str(out)],
            env={"PATH": "/usr/bin:/bin", "POLARS_MAX_THREADS": threads, "PYTHONPATH": _paths()},
            check=True,
        )
        frames.append(pl.read_parquet(out))
        _forget(settings)
    assert_frame_equal(frames[0], frames[1], rel_tol=1e-9, abs_tol=1e-9)


def _paths() -> str:
    return ":".join(str(p) for p in (Path(__file__).parents[2], Path(__file__).parents[1]))


def _forget(settings: Settings) -> None:
    for path in sorted((settings.store / "snapshots").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_log_cut_at_the_cutoff_gives_the_same_rows(tmp_path: Path) -> None:
    log = random_log()
    frames = []
    for name, rows in (("whole", log), ("cut", [r for r in log if r["ts"] < T])):
        settings = settings_of(PASSIVE, tmp_path / name)
        write_store(settings, rows, 4)
        store = open_store(settings, T)
        spec = learn_spec(store, Cutoff(T), settings)
        frames.append(read(build_snapshots(settings, store, [Cutoff(T)], spec, CPU, False)))
    assert_frame_equal(frames[0], frames[1], rel_tol=1e-9, abs_tol=1e-9)


def test_what_is_there_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log(), 4)
    first = snapshots_of(settings)
    monkeypatch.setattr(snapshots, "_bucket", None)
    assert snapshots_of(settings) == first
    assert "already there" in capsys.readouterr().err
    assert tables.open_table(first.path, first.kind).version == 0
    assert not list((settings.store / ".staging").iterdir())


def test_new_events_make_a_new_table(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log(), 2)
    first = snapshots_of(settings)
    write_store(settings, random_log(seed=4), 2)
    assert snapshots_of(settings).digest != first.digest


def test_an_interrupted_table_is_taken_up_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(PASSIVE, tmp_path / "interrupted")
    write_store(settings, random_log(), 4)
    real, seen = snapshots._bucket, []

    def stopping(work: Any, bucket: int) -> pl.DataFrame:
        seen.append(bucket)
        if bucket == 2 and seen.count(2) <= 2:  # once more after a failure, then given up
            raise RuntimeError("the lights went out")
        return real(work, bucket)

    monkeypatch.setattr(snapshots, "_bucket", stopping)
    with pytest.raises(BucketError, match="bucket 2"):
        snapshots_of(settings)
    found = read(snapshots_of(settings))
    assert sorted(seen) == [0, 1, 2, 2, 2, 3]  # threads take them in any order
    assert_frame_equal(found, built(tmp_path / "undisturbed", random_log(), 4))


def test_buckets_are_read_alone(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log(), 4)
    found = snapshots_of(settings, labelled=False)
    parts = pl.concat([read_bucket(found, bucket) for bucket in open_store(settings).buckets])
    assert_frame_equal(parts.sort("cutoff", "user_id"), read(found))
    assert parts["churn"].null_count() == parts.height


def test_the_command_labels_named_cutoffs_and_not_the_as_of(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log())
    named = read(snapshot(settings, [T], None, CPU))
    assert named["churn"].null_count() == 0
    assert named["cutoff"].unique().to_list() == [T]
    with pytest.raises(LabelError, match="its labels need events until"):
        snapshot(settings, [T], T + DAY, CPU)
    assert read(snapshot(settings, [], T, CPU))["cutoff"].unique().to_list() == [T]


def test_nobody_eligible_is_said(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path, activity={"events": ["no such event"]})
    write_store(settings, random_log(rows=20))
    with pytest.raises(LabelError, match="no eligible user at"):
        snapshots_of(settings, labelled=False)


def test_a_missing_users_table_is_said(tmp_path: Path) -> None:
    churn = Churn(kind="active", date_column="left")
    settings = settings_of(Definitions(Activity(), Eligible(), churn, Value()), tmp_path)
    write_store(settings, random_log(rows=20))
    with pytest.raises(StoreError, match="there is no users table"):
        snapshots_of(settings, labelled=False)


def test_a_cutoff_before_the_log_is_named(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    log = random_log(rows=20)
    write_store(settings, log)
    first = min(row["ts"] for row in log)
    with pytest.raises(LabelError, match="the log begins at"):
        learn_spec(open_store(settings), Cutoff(first), settings)


def test_a_spec_survives_being_written(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log())
    spec = learn_spec(open_store(settings), Cutoff(T), settings)
    again = FeatureSpec.from_dict(spec.to_dict())
    assert again == spec
    assert again.digest == spec.digest


def test_the_store_keeps_the_contract(tmp_path: Path) -> None:
    assert set(events_frame(random_log(rows=2)).columns) == set(EVENTS.schema)


if __name__ == "__main__":
    read(snapshots_of(settings_of(PASSIVE, Path(sys.argv[1])))).write_parquet(sys.argv[2])
