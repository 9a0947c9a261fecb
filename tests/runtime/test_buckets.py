"""Work over buckets in this process: kept, taken up again, tried twice, named, interrupted."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import polars as pl
import pytest
from cluster_work import Traced, calls, started, wait_for

from runtime.buckets import frames, map_buckets, map_work
from runtime.cluster import InProcess
from runtime.errors import BucketError, SchemaError
from runtime.task import at_work

THREADS = (1, 3)


@pytest.mark.parametrize("threads", THREADS)
def test_results_stand_in_the_order_of_the_buckets(tmp_path: Path, threads: int) -> None:
    buckets = [7, 0, 3, 11, 2]
    paths = map_buckets(
        Traced(tmp_path / "traces"), buckets, tmp_path / "s", "squares", InProcess(threads)
    )
    assert [f["bucket"][0] for f in frames(paths)] == buckets
    assert [p.name for p in paths][:2] == ["00007.parquet", "00000.parquet"]


def test_a_bucket_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def work(bucket: int) -> pl.DataFrame:
        seen.append(bucket)
        if seen.count(bucket) == 1:
            raise ValueError("odd")
        return pl.DataFrame({"bucket": [bucket]})

    map_buckets(work, [0, 1], tmp_path, "counting", InProcess(1))
    assert seen == [0, 0, 1, 1]


@pytest.mark.parametrize("threads", THREADS)
def test_finished_buckets_are_not_redone(tmp_path: Path, threads: int) -> None:
    traces, staging = tmp_path / "traces", tmp_path / "s"
    with pytest.raises(BucketError, match="counting: bucket 2 failed 2 times: odd; finished"):
        map_buckets(Traced(traces, fails=(2,)), range(4), staging, "counting", InProcess(threads))
    first = calls(traces)
    finished = {int(path.stem) for path in staging.glob("*.parquet")}
    assert len(first[2]) == 2
    assert 2 not in finished
    map_buckets(Traced(traces), range(4), staging, "counting", InProcess(threads))
    again = calls(traces)
    assert {b for b in again if again[b] == first.get(b)} == finished


def test_with_one_thread_nothing_is_begun_after_a_failure(tmp_path: Path) -> None:
    work = Traced(tmp_path / "traces", fails=(1,))
    with pytest.raises(BucketError):
        map_buckets(work, range(4), tmp_path / "s", "counting", InProcess(1))
    assert set(calls(tmp_path / "traces")) == {0, 1}


@pytest.mark.parametrize("threads", THREADS)
def test_the_work_s_own_error_is_raised_as_it_is_and_not_tried_again(
    tmp_path: Path, threads: int
) -> None:
    work = Traced(tmp_path / "traces", refuses=(1,))
    with pytest.raises(SchemaError, match=r"events: bucket 1 has no column 'ts'; add it"):
        map_buckets(work, range(2), tmp_path / "s", "counting", InProcess(threads))
    assert len(calls(tmp_path / "traces")[1]) == 1


def test_threads_work_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=20)  # breaks unless three buckets are under way

    def work(bucket: int) -> pl.DataFrame:
        together.wait()
        return pl.DataFrame({"bucket": [bucket]})

    assert len(map_buckets(work, range(6), tmp_path, "meeting", InProcess(3))) == 6


def test_work_may_write_files_of_its_own_and_go_by_names(tmp_path: Path) -> None:
    def work(name: str, path: Path) -> None:
        (tmp_path / f"{name}.rows").write_text(name * 2)
        path.write_text(f"{len(name)}")

    paths = map_work(work, ["b", "aa"], tmp_path, ".json", "reading", unit="file")
    assert [path.read_text() for path in paths] == ["1", "2"]
    assert (tmp_path / "aa.rows").read_text() == "aaaa"


def test_a_named_key_is_named_in_its_error(tmp_path: Path) -> None:
    def work(name: str, path: Path) -> None:
        raise ValueError("odd")

    with pytest.raises(BucketError, match=r"reading: file a\.csv failed 2 times: odd"):
        map_work(work, ["a.csv"], tmp_path, ".json", "reading", unit="file")


def test_drafts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    mine = tmp_path / ".00001.parquet.99.draft"
    other = tmp_path / ".other.parquet.99.draft"
    for draft in (mine, other):
        draft.write_text("half a file")
    map_buckets(Traced(tmp_path / "traces"), [1], tmp_path, "counting")
    assert not mine.exists()
    assert other.exists()


def test_work_within_work_is_done_where_it_stands(tmp_path: Path) -> None:
    main = threading.get_ident()
    threads: list[set[int]] = []

    def inner(_: int) -> pl.DataFrame:
        threads[-1].add(threading.get_ident())
        return pl.DataFrame({"x": [1]})

    def outer(bucket: int) -> pl.DataFrame:
        threads.append(set())
        map_buckets(inner, range(4), tmp_path / f"inner{bucket}", "inner", InProcess(4))
        assert at_work()
        return pl.DataFrame({"x": [2]})

    map_buckets(outer, [0], tmp_path / "outer", "outer", InProcess(1))
    assert threads == [{main}]
    assert not at_work()


def test_ctrl_c_finishes_what_is_under_way_and_ends(tmp_path: Path) -> None:
    process = started(tmp_path, "none")
    wait_for(tmp_path / "traces" / "1")
    os.killpg(process.pid, signal.SIGINT)
    (tmp_path / "traces" / "go").write_text("")
    _, log = process.communicate(timeout=30)
    assert process.returncode == 130, log
    assert "Traceback" not in log
    begun = set(calls(tmp_path / "traces"))
    finished = {int(path.stem) for path in (tmp_path / "s").glob("*.parquet")}
    assert 1 in finished <= begun  # Polars breaks off what it is itself in the middle of
    assert len(begun) < 200
    assert not list((tmp_path / "s").glob(".*"))
    for path in (tmp_path / "s").iterdir():
        assert pl.read_parquet(path)["bucket"].to_list() == [int(path.stem)] * 3
