"""Work for clusters that leaves a trace of each call, and a scheduler and workers by hand.

Lies beside the tests, not in one, as workers of other processes must be able to import it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from runtime.errors import SchemaError

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 30
PRINTED = "a line on standard output that must not come through"

COMMAND = """
import sys
from pathlib import Path
from cluster_work import Traced
from runtime.buckets import map_buckets
from runtime.cluster import parse_cluster

folder, cluster, buckets = Path(sys.argv[1]), parse_cluster(sys.argv[2]), int(sys.argv[3])
try:
    map_buckets(
        Traced(folder / "traces", waits=(1,) if buckets > 1 else (), seconds=0.02),
        range(buckets), folder / "s", "counting", cluster,
    )
except KeyboardInterrupt:
    sys.exit(130)
(folder / "loaded").write_text(str("dask" in sys.modules))
"""


@dataclass(frozen=True)
class Traced:
    """Each call adds a line with its process id to `<traces>/<bucket>`. Buckets of `waits` stand
    until `<traces>/go` is there; those of `kills` kill their process; those of `fails` and
    `refuses` raise."""

    traces: Path
    waits: tuple[int, ...] = ()
    kills: tuple[int, ...] = ()
    fails: tuple[int, ...] = ()
    refuses: tuple[int, ...] = ()
    seconds: float = 0.0

    def __call__(self, bucket: int) -> pl.DataFrame:
        self.traces.mkdir(parents=True, exist_ok=True)
        with (self.traces / str(bucket)).open("a") as file:
            file.write(f"{os.getpid()}\n")
        print(PRINTED)
        if bucket in self.waits:
            wait_for(self.traces / "go")
        if bucket in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if bucket in self.fails:
            raise ValueError("odd")
        if bucket in self.refuses:
            raise SchemaError(f"events: bucket {bucket} has no column 'ts'; add it")
        time.sleep(self.seconds)
        return pl.DataFrame({"bucket": [bucket] * 3, "square": [bucket**2] * 3})


@dataclass(frozen=True)
class TracedWork:
    """Stands for a function that work is mapped with, and does what that does in a worker, with
    traces as Traced leaves them; `number` tells a call's number from its arguments, and calls of
    `waits` stand until `<traces>/go` is there."""

    module: str
    function: str
    number: Callable[..., int]
    traces: Path
    waits: tuple[int, ...] = ()

    def __call__(self, *arguments: Any) -> None:
        number = self.number(*arguments)
        self.traces.mkdir(parents=True, exist_ok=True)
        with (self.traces / str(number)).open("a") as file:
            file.write(f"{os.getpid()}\n")
        if number in self.waits:
            wait_for(self.traces / "go")
        getattr(import_module(self.module), self.function)(*arguments)


def calls(traces: Path) -> dict[int, list[int]]:
    """The process ids that each bucket was worked on by, in order."""
    return {
        int(path.name): [int(line) for line in path.read_text().split()]
        for path in traces.iterdir()
        if path.name.isdecimal()
    }


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not path.exists() or (path.name != "go" and not path.read_text()):
        if time.monotonic() > until:
            raise TimeoutError(f"{path} has not come")
        time.sleep(0.01)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(processes: Sequence[int]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while left := [process for process in processes if alive(process)]:
        if time.monotonic() > until:
            raise TimeoutError(f"processes {left} are still there")
        time.sleep(0.02)


def kill_the_worker_of(bucket: int, traces: Path) -> threading.Thread:
    """Once the bucket is under way, when its first process has been killed, lets it go on."""

    def kill() -> None:
        wait_for(traces / str(bucket))
        victim = calls(traces)[bucket][0]
        os.kill(victim, signal.SIGKILL)
        wait_until_gone([victim])
        (traces / "go").write_text("")

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@dataclass
class ByHand:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)


@contextmanager
def by_hand(
    folder: Path, workers: int, code: Path = ROOT, working_folder: Path | None = None
) -> Iterator[ByHand]:
    """A scheduler and single-threaded workers without nannies, each a process of its own.

    `code` is the folder that the workers import the project from.
    """
    file = folder / "scheduler.json"
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"--scheduler-file={file}", "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            _process("scheduler", [*options, "--host=127.0.0.1", "--port=0"], ROOT, folder)
        )
        options += ["--nthreads=1", "--no-nanny", f"--local-directory={folder}"]
        started = [
            stack.enter_context(_process("worker", options, code, working_folder or folder))
            for _ in range(workers)
        ]
        wait_for(file)
        yield ByHand(json.loads(file.read_text())["address"], scheduler, started)


@contextmanager
def _process(
    what: str, options: list[str], code: Path, working_folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    paths = os.pathsep.join((str(code), str(ROOT / "tests")))
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{what}", *options],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=working_folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def started(folder: Path, cluster: str, buckets: int = 200) -> subprocess.Popen[str]:
    """Buckets mapped in a process (and a process group) of its own; bucket 1 waits for `go`."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), cluster, str(buckets)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )
