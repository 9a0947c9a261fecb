"""The same log in the store wherever its files are read and its buckets written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster_work import TracedWork, by_hand, calls, kill_the_worker_of
from ingest_tools import HEAD, put, settings_in, table
from polars.testing import assert_frame_equal

from events import adding, staging
from events.adding import discard_unfinished
from events.contract import EVENTS
from events.ingest import IngestResult, ingest
from runtime.cluster import IN_PROCESS, Cluster, LocalProcesses, Scheduler
from runtime.errors import BucketError
from runtime.settings import Settings
from runtime.tables import open_table

FILES = 4
ROWS = 3_000


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group for each bucket, so that there is something to hand out."""
    monkeypatch.setattr(adding, "GROUP_ROWS", 1)


def project(folder: Path) -> Settings:
    """One file is in the store already, four share rows with it and have bad ones; 8 buckets."""
    settings = settings_in(folder, events={"buckets": 8})
    for name in range(FILES + 1):
        first = name * ROWS // 2
        rows = (
            f"{i},{i * 7919 % 97},2024-0{i % 9 + 1}-01 10:00:00,v{i % 3},"
            f"{'x' if i % 500 == 0 else i % 50}\n"
            for i in range(first, first + ROWS)
        )
        put(folder, f"{name}.csv", HEAD + "".join(rows))
        if name == 0:
            ingest(settings)
    return settings


def assert_as_in_process(settings: Settings, tmp_path: Path, found: IngestResult) -> None:
    other = project(tmp_path / "here")
    assert ingest(other, IN_PROCESS) == found
    assert found.rows_added > ROWS
    assert found.duplicates > 0
    assert found.quarantined > 0
    assert found.users == 97
    for name in ("events", "quarantine"):
        assert_frame_equal(table(settings.store.parent, name), table(tmp_path / "here", name))
    assert not list((settings.store / ".staging").iterdir())


def test_two_processes(tmp_path: Path) -> None:
    settings = project(tmp_path / "there")
    assert_as_in_process(settings, tmp_path, ingest(settings, LocalProcesses(2)))


def _group(job: Any, group: int, done: Path) -> int:
    return group


def _file(named: Any, buckets: int, folder: Path, erased: Any, name: str, done: Path) -> int:
    return int(Path(named[name].file.shown).stem)


@pytest.mark.parametrize(
    ("module", "function", "number", "midst", "keys"),
    [
        (staging.__name__, "_stage_one", _file, 2, range(1, FILES + 1)),
        (adding.__name__, "_add_group", _group, 3, range(8)),
    ],
    ids=["reading", "adding"],
)
def test_a_worker_killed_in_the_middle_costs_its_file_or_bucket(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    function: str,
    number: Any,
    midst: int,
    keys: range,
) -> None:
    settings, traces = project(tmp_path / "there"), tmp_path / "traces"
    work = TracedWork(module, function, number, traces, waits=(midst,))
    monkeypatch.setattr(f"{module}.{function}", work)
    with by_hand(tmp_path / "hand", workers=2) as cluster:
        killer = kill_the_worker_of(midst, traces)
        found = ingest(settings, Scheduler(cluster.address))
        killer.join()
    monkeypatch.undo()
    assert_as_in_process(settings, tmp_path, found)
    by = calls(traces)
    assert sorted(by) == list(keys)
    assert {key: len(pids) for key, pids in by.items() if len(pids) > 1} == {midst: 2}


def _interrupted(settings: Settings, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """Fails at the fifth group, the four before it done."""
    whole = adding._add_group

    def work(job: Any, group: int, done: Path) -> None:
        if group == 4:
            raise ValueError("odd")
        whole(job, group, done)

    with monkeypatch.context() as patched:
        patched.setattr(adding, "_add_group", work)
        with pytest.raises(BucketError, match="adding: group 4 failed 2 times: odd"):
            ingest(settings, cluster)


def _unfinished(settings: Settings) -> dict[Path, int]:
    """The files of no version, with their inodes."""
    events = settings.store / "events"
    named = set(open_table(events, EVENTS).files_of())
    return {p: p.stat().st_ino for p in events.glob("bucket=*/*.parquet") if p not in named}


def test_interrupted_adding_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = project(tmp_path / "there")
    _interrupted(settings, monkeypatch, IN_PROCESS)
    left = _unfinished(settings)
    assert len(left) >= 4
    found = ingest(settings)
    assert not _unfinished(settings)
    assert all(path.stat().st_ino == inode for path, inode in left.items()), "written anew"
    assert_as_in_process(settings, tmp_path, found)


def test_what_nobody_takes_up_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = project(tmp_path / "there")
    _interrupted(settings, monkeypatch, IN_PROCESS)
    left = _unfinished(settings)
    put(tmp_path / "there", "more.csv", f"{HEAD}9999,1,2024-01-01 10:00:00,v1,2\n")
    found = ingest(settings)
    assert not _unfinished(settings)
    assert not any(path.exists() for path in left)
    assert found.files_added == FILES + 1


def test_what_is_committed_is_never_discarded(tmp_path: Path) -> None:
    """As after a kill between the commit and the end."""
    settings = project(tmp_path / "there")
    ingest(settings)
    before = table(tmp_path / "there")
    events, folder = settings.store / "events", settings.store / ".staging" / "ingest"
    stored = open_table(events, EVENTS)
    for name in {path.stem for path in stored.files_of()}:
        (folder / name).mkdir(parents=True)
    discard_unfinished(events, stored, folder)
    assert not list(folder.iterdir())
    assert_frame_equal(table(tmp_path / "there"), before)
