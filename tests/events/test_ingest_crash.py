"""Ingest killed with SIGKILL at any moment and run again leaves what an undisturbed run leaves."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from ingest_tools import HEAD, put, settings_in, table

from events.ingest import ingest

MOMENTS = 20
IN_THE_SUITE = 3
CODE = """
import sys
from pathlib import Path
from ingest_tools import settings_in
from events import staging
from events.ingest import ingest
staging.FLUSH_ROWS = 2000
print("ready", flush=True)
sys.stdin.readline()
ingest(settings_in(Path(sys.argv[1]), users={
    "path": "known/users.csv", "columns": {"user_id": "id"}, "attributes": ["plan"]}))
print("done", flush=True)
"""


def _project(folder: Path) -> Path:
    """Three files of 9,000 rows, some doubled, some bad, beside one ingested before."""
    for name in "abcd":
        rows = (
            f"{i % 8_000}{name},{i * 7919 % 997},2024-0{i % 9 + 1}-01 10:00:{i % 60:02d},v{i % 3},"
            f"{'x' if i % 500 == 0 else i % 50}\n"
            for i in range(9_000)
        )
        put(folder, f"{name}.csv", HEAD + "".join(rows))
        if name == "a":
            ingest(settings_in(folder))
    put(folder, "known/users.csv", "id,plan\n" + "".join(f"{i},p{i % 4}\n" for i in range(997)))
    return folder


def _start(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[1],
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def _left(folder: Path) -> list[object]:
    return [table(folder, name).to_dicts() for name in ("events", "quarantine", "users")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object], float]:
    """The project before, what an undisturbed run leaves, and how long that takes."""
    before = _project(tmp_path_factory.mktemp("before"))
    done = tmp_path_factory.mktemp("done") / "project"
    shutil.copytree(before, done)
    process = _start(done)
    started = time.monotonic()
    assert process.wait(120) == 0
    return before, _left(done), time.monotonic() - started


@pytest.mark.parametrize(
    "moment",
    [pytest.param(n, marks=() if n < IN_THE_SUITE else pytest.mark.slow) for n in range(MOMENTS)],
)
def test_killed_and_run_again(
    whole: tuple[Path, list[object], float], tmp_path: Path, moment: int
) -> None:
    before, expected, seconds = whole
    folder = tmp_path / "project"
    shutil.copytree(before, folder)
    share = (moment * 7 % MOMENTS + random.Random(moment).random()) / MOMENTS
    process = _start(folder)
    try:
        process.wait(seconds * share)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()
    again = _start(folder)
    assert again.wait(120) == 0
    assert _left(folder) == expected, f"killed after {share:.2f} of the run"
    assert not list(folder.rglob("*.draft"))
    assert not list((folder / "store" / ".staging").iterdir())
    events = folder / "store" / "events"
    assert {str(file) for file in events.glob("bucket=*/*")} == set(
        DeltaTable(str(events)).file_uris()
    )
