"""The same files from every kind of cluster, and what is lost when a part of it dies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from cluster_work import (
    PRINTED,
    ROOT,
    ByHand,
    Traced,
    by_hand,
    calls,
    kill_the_worker_of,
    started,
    wait_for,
    wait_until_gone,
)
from gpu_python import translated
from hypothesis import given
from hypothesis import strategies as st

from runtime import cluster as clusters
from runtime import cluster_options, handout, probe, worker
from runtime.buckets import map_buckets
from runtime.cluster import (
    IN_PROCESS,
    Cluster,
    Gpus,
    InProcess,
    LocalProcesses,
    Scheduler,
    Started,
    connected,
    parse_cluster,
    require_fitting,
)
from runtime.device import Device
from runtime.errors import BucketError, ClusterError, SchemaError, UsageError
from runtime.pool import available_cores

BUCKETS = range(9)
DRIVER = Path("/proc/driver/nvidia/version")


@pytest.fixture(scope="module")
def two_local() -> Iterator[Started]:
    with connected(LocalProcesses(2)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def hand_started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    with by_hand(tmp_path_factory.mktemp("by-hand"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def elsewhere(hand_started: ByHand) -> Iterator[Started]:
    with connected(Scheduler(hand_started.address)) as cluster:
        yield cluster


@pytest.fixture(params=["none", "two_local", "elsewhere"])
def anywhere(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "none":
        return IN_PROCESS
    cluster: Started = request.getfixturevalue(request.param)
    return cluster


def _bytes(staging: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(staging.iterdir())}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one thread of this process leaves."""
    folder = tmp_path_factory.mktemp("expected")
    map_buckets(Traced(folder / "traces"), BUCKETS, folder / "s", "squares", InProcess(1))
    return _bytes(folder / "s")


# What a user may write.


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("none", InProcess()),
        ("local", LocalProcesses()),
        ("local:2", LocalProcesses(2)),
        ("cuda", Gpus()),
        ("tcp://10.0.0.7:8786", Scheduler("tcp://10.0.0.7:8786")),
        ("tcp://node-1.example.com:8786", Scheduler("tcp://node-1.example.com:8786")),
        ("tcp://[::1]:8786", Scheduler("tcp://[::1]:8786")),
    ],
)
def test_kinds_are_read_and_shown_as_they_are_written(text: str, kind: Cluster) -> None:
    assert parse_cluster(text) == kind
    assert str(kind) == text


WRONG = ["", "Local", "local:", "local:0", "local:-1", "local:two", "local:99999", "gpu", "none:2"]
WRONG += ["cuda:1", "tcp://", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:70000"]
WRONG += ["http://host:8786", "host:8786", "tcp://a b:1", "tcp://h:1/x", "local:2\n"]


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_named_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match=r"local:N.*tcp://HOST:PORT") as caught:
        parse_cluster(text)
    assert f"'{text}'" in str(caught.value)


@given(st.text(alphabet="localtcp:/0129. \n[]none", max_size=24))
def test_what_is_read_is_what_was_written(text: str) -> None:
    with suppress(UsageError):
        assert str(parse_cluster(text)) in (text, text.replace(":0", ":"))


@pytest.mark.parametrize(
    ("text", "device", "words"),
    [("cuda", "cpu", "give --cluster local"), ("local:2", "gpu", "give --cluster cuda")],
)
def test_a_gpu_is_worked_on_by_one_process(
    text: str, device: Literal["cpu", "gpu"], words: str
) -> None:
    with pytest.raises(UsageError, match=rf"cluster '{text}' on device '{device}'.*{words}"):
        require_fitting(parse_cluster(text), Device(device, "asked for"))
    for fitting in ("none", "local" if device == "cpu" else "cuda", "tcp://a:1"):
        require_fitting(parse_cluster(fitting), Device(device, "asked for"))


# The same everywhere.


def test_every_kind_leaves_the_same_files(
    anywhere: Cluster, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths mean the same to workers started elsewhere
    map_buckets(Traced(Path("traces")), BUCKETS, Path("s"), "squares", anywhere)
    assert _bytes(Path("s")) == expected
    assert all(len(by) == 1 for by in calls(Path("traces")).values())


@pytest.mark.parametrize("name", ["two_local", "elsewhere"])
def test_both_workers_work_and_this_process_does_not(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster: Started = request.getfixturevalue(name)
    map_buckets(Traced(tmp_path / "t", seconds=0.02), BUCKETS, tmp_path / "s", "squares", cluster)
    workers = {process for by in calls(tmp_path / "t").values() for process in by}
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert capfd.readouterr().out == ""


def test_a_failing_bucket_is_named_and_finished_ones_are_kept(
    anywhere: Cluster, tmp_path: Path
) -> None:
    work = Traced(tmp_path / "traces", fails=(4,))
    with pytest.raises(BucketError, match="squares: bucket 4 failed 2 times: odd; finished"):
        map_buckets(work, BUCKETS, tmp_path / "s", "squares", anywhere)
    assert len(calls(tmp_path / "traces")[4]) == 2
    kept = set(_bytes(tmp_path / "s"))
    map_buckets(Traced(tmp_path / "again"), BUCKETS, tmp_path / "s", "squares", anywhere)
    redone = {f"{bucket:05d}.parquet" for bucket in calls(tmp_path / "again")}
    assert kept | redone == {f"{bucket:05d}.parquet" for bucket in BUCKETS}
    assert not kept & redone
    assert "00004.parquet" in redone


def test_the_work_s_own_error_comes_back_as_itself(anywhere: Cluster, tmp_path: Path) -> None:
    work = Traced(tmp_path / "traces", refuses=(3,))
    with pytest.raises(SchemaError) as caught:
        map_buckets(work, BUCKETS, tmp_path / "s", "squares", anywhere)
    assert type(caught.value) is SchemaError
    assert str(caught.value) == "events: bucket 3 has no column 'ts'; add it"
    assert len(calls(tmp_path / "traces")[3]) == 1


def test_files_that_are_there_are_taken_as_they_are(anywhere: Cluster, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "00002.parquet").write_text("mine")
    map_buckets(Traced(tmp_path / "traces"), BUCKETS, tmp_path / "s", "squares", anywhere)
    assert (tmp_path / "s" / "00002.parquet").read_text() == "mine"
    assert set(calls(tmp_path / "traces")) == set(BUCKETS) - {2}


def test_a_closure_travels(anywhere: Cluster, tmp_path: Path) -> None:
    addend = 5
    paths = map_buckets(
        lambda b: pl.DataFrame({"x": [b + addend]}), [1, 2], tmp_path, "adding", anywhere
    )
    assert [pl.read_parquet(path)["x"][0] for path in paths] == [6, 7]


def test_work_within_work_starts_no_cluster_in_a_worker(two_local: Started, tmp_path: Path) -> None:
    def outer(bucket: int) -> pl.DataFrame:
        inner = Traced(tmp_path / f"inner{bucket}")
        for n, cluster in enumerate((two_local, LocalProcesses(2))):
            map_buckets(inner, range(2), tmp_path / f"s{bucket}{n}", "inner", cluster)
        return pl.DataFrame({"pid": [os.getpid()]})

    paths = map_buckets(outer, range(2), tmp_path / "outer", "outer", two_local)
    for bucket, path in enumerate(paths):
        mine = pl.read_parquet(path)["pid"][0]
        assert mine != os.getpid()
        assert calls(tmp_path / f"inner{bucket}") == {0: [mine] * 2, 1: [mine] * 2}


def test_local_workers_share_the_cores(
    two_local: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(bucket: int) -> pl.DataFrame:
        return pl.DataFrame(
            {n: [os.environ[n]] for n in cluster_options.NATIVE_THREADS}
            | {"polars": [pl.thread_pool_size()]}
        )

    (path,) = map_buckets(work, [0], tmp_path, "looking", two_local)
    share = max(1, available_cores() // 2)
    found = pl.read_parquet(path).row(0, named=True)
    assert found == dict.fromkeys(cluster_options.NATIVE_THREADS, str(share)) | {"polars": share}
    assert "POLARS_MAX_THREADS" not in os.environ


def test_without_a_cluster_no_dask_is_loaded(tmp_path: Path) -> None:
    assert started(tmp_path, "none", buckets=1).wait(30) == 0
    assert (tmp_path / "loaded").read_text() == "False"


# What dies.


def test_a_killed_worker_costs_its_bucket_only(expected: dict[str, bytes], tmp_path: Path) -> None:
    work = Traced(tmp_path / "traces", waits=(3,))
    with by_hand(tmp_path / "hand", workers=2) as cluster:
        killer = kill_the_worker_of(3, tmp_path / "traces")
        map_buckets(work, BUCKETS, tmp_path / "s", "squares", Scheduler(cluster.address))
        killer.join()
        assert sorted(worker.poll() is None for worker in cluster.workers) == [False, True]
    assert _bytes(tmp_path / "s") == expected
    by = calls(tmp_path / "traces")
    assert len(by.pop(3)) == 2
    assert all(len(processes) == 1 for processes in by.values())


def test_a_killed_local_worker_costs_its_bucket_only(
    two_local: Started, expected: dict[str, bytes], tmp_path: Path
) -> None:
    killer = kill_the_worker_of(3, tmp_path / "traces")
    work = Traced(tmp_path / "traces", waits=(3,))
    map_buckets(work, BUCKETS, tmp_path / "s", "squares", two_local)
    killer.join()
    assert _bytes(tmp_path / "s") == expected
    assert {b: len(p) for b, p in calls(tmp_path / "traces").items() if len(p) > 1} == {3: 2}


def test_a_bucket_that_kills_its_workers_is_named_and_given_up(tmp_path: Path) -> None:
    work = Traced(tmp_path / "traces", kills=(1,))
    with pytest.raises(BucketError, match="squares: bucket 1 killed its worker 3 times"):
        map_buckets(work, range(4), tmp_path / "s", "squares", LocalProcesses(2))
    by = calls(tmp_path / "traces")
    assert len(by[1]) == 3
    assert all(len(processes) == 1 for bucket, processes in by.items() if bucket != 1)
    assert not (tmp_path / "s" / "00001.parquet").exists()


def test_when_all_workers_are_gone_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handout, "NO_WORKER_SECONDS", 0.5)
    work = Traced(tmp_path / "traces", kills=(2,))
    with (
        by_hand(tmp_path / "hand", workers=1) as cluster,
        pytest.raises(
            BucketError, match=r"all workers have been gone for 0.5 s; 7 buckets are not"
        ),
    ):
        map_buckets(work, BUCKETS, tmp_path / "s", "squares", Scheduler(cluster.address))
    assert sorted(_bytes(tmp_path / "s")) == ["00000.parquet", "00001.parquet"]


def test_when_the_scheduler_is_gone_that_is_said(tmp_path: Path) -> None:
    work = Traced(tmp_path / "traces", waits=(0,))
    with by_hand(tmp_path / "hand", workers=1) as cluster:

        def kill() -> None:
            wait_for(tmp_path / "traces" / "0")
            cluster.scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(BucketError, match="scheduler"):
            map_buckets(work, BUCKETS, tmp_path / "s", "squares", Scheduler(cluster.address))
        killer.join()


def test_after_a_killed_command_its_workers_end_and_finished_buckets_are_not_redone(
    tmp_path: Path,
) -> None:
    process = started(tmp_path, "local:2", buckets=8)
    traces, staging = tmp_path / "traces", tmp_path / "s"
    for bucket in range(8):
        wait_for(traces / str(bucket))
    while len(list(staging.glob("*.parquet"))) < 7:  # all but the one that waits
        pass
    process.kill()
    process.wait()
    before = calls(traces)
    wait_until_gone([by for processes in before.values() for by in processes])
    map_buckets(Traced(traces), range(8), staging, "counting")
    assert {b: len(p) for b, p in calls(traces).items()} == {b: 1 + (b == 1) for b in range(8)}
    assert sorted(_bytes(staging)) == [f"{bucket:05d}.parquet" for bucket in range(8)]


def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(tmp_path: Path) -> None:
    process = started(tmp_path, "local:2")
    wait_for(tmp_path / "traces" / "20")
    os.killpg(process.pid, signal.SIGINT)
    (tmp_path / "traces" / "go").write_text("")  # what is under way has some seconds to end
    out, log = process.communicate(timeout=30)
    assert process.returncode == 130, log
    assert out == ""
    assert {line for line in log.splitlines() if line != PRINTED} == set()
    by = calls(tmp_path / "traces")
    wait_until_gone([process for processes in by.values() for process in processes])
    for path in (tmp_path / "s").glob("*.parquet"):
        assert pl.read_parquet(path)["bucket"].to_list() == [int(path.stem)] * 3
    assert not list((tmp_path / "s").glob(".*.task"))


# What is wrong with somebody's cluster.


def test_an_address_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"{address}: no Dask scheduler answers there"):
        map_buckets(Traced(tmp_path / "t"), BUCKETS, tmp_path / "s", "x", Scheduler(address))


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WORKERS_SECONDS", 0.2)
    with (
        by_hand(tmp_path, workers=0) as cluster,
        pytest.raises(ClusterError, match=r"has no worker; start some with 'dask worker tcp://"),
        connected(Scheduler(cluster.address)),
    ):
        pass


def test_workers_that_see_other_files(elsewhere: Started, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    number = os.dup2(folder, 900)  # a name that means this folder in this process only
    staging = Path(f"/proc/self/fd/{number}/s")
    try:
        with pytest.raises(ClusterError, match=r"worker tcp://\S+ cannot use .*No such file"):
            map_buckets(Traced(tmp_path / "t"), BUCKETS, staging, "squares", elsewhere)
    finally:
        os.close(folder)
        os.close(number)
    assert not list((tmp_path / "s").iterdir())
    assert not (tmp_path / "t").exists()


def test_workers_without_the_folder_of_the_command(
    elsewhere: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: Path("/nowhere/project"))
    with pytest.raises(ClusterError, match=r"has no folder /nowhere/project; call the command"):
        map_buckets(Traced(tmp_path / "t"), BUCKETS, tmp_path / "s", "squares", elsewhere)


def test_workers_with_other_code(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for floor in worker.PACKAGES:
        shutil.copytree(ROOT / floor, other / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "features" / "time.py").open("a").write("# changed\n")
    with (
        by_hand(tmp_path / "hand", workers=1, code=other) as cluster,
        pytest.raises(ClusterError, match=r"worker tcp://\S+ runs Holdfast .* \(code .*, this is"),
    ):
        map_buckets(
            Traced(tmp_path / "t"), BUCKETS, tmp_path / "s", "squares", Scheduler(cluster.address)
        )
    assert not (tmp_path / "t").exists()


def test_workers_without_our_code(tmp_path: Path) -> None:
    (tmp_path / "other" / "runtime").mkdir(parents=True)
    (tmp_path / "other" / "runtime" / "__init__.py").write_text("")
    with (
        by_hand(tmp_path / "hand", workers=1, code=tmp_path / "other") as cluster,
        pytest.raises(ClusterError, match=r"cannot import Holdfast \(ModuleNotFoundError"),
    ):
        map_buckets(
            Traced(tmp_path / "t"), BUCKETS, tmp_path / "s", "squares", Scheduler(cluster.address)
        )


# GPUs.


@pytest.mark.skipif(DRIVER.exists(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cluster cuda: no NVIDIA driver on this machine"):
        map_buckets(Traced(tmp_path / "t"), BUCKETS, tmp_path / "s", "squares", Gpus())
    assert not (tmp_path / "t").exists()


@pytest.mark.skipif(not DRIVER.exists(), reason="no GPU here")
def test_cuda_leaves_the_same_files(expected: dict[str, bytes], tmp_path: Path) -> None:
    map_buckets(Traced(tmp_path / "traces"), BUCKETS, tmp_path / "s", "squares", Gpus())
    assert _bytes(tmp_path / "s") == expected
    workers = {process for by in calls(tmp_path / "traces").values() for process in by}
    assert os.getpid() not in workers


@pytest.mark.gpu_plans
def test_our_arguments_are_dask_cuda_s() -> None:
    found = translated("cluster_signature.py")
    if "missing" in found:
        pytest.skip("that interpreter has no dask_cuda; run 'make gpu-env'")
    assert found["noticed"], "the check does not notice an argument that is not there"
    assert found["unknown"] == []
    assert {"rmm_async", "rmm_managed_memory"} <= set(found["own"])
    assert found["passed"]["rmm_async"] is True
    assert found["passed"]["rmm_managed_memory"] is False
