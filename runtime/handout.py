"""Keys handed out to the workers of a cluster, as many at a time as they have threads.

Handing out no more than is worked on keeps the blame right: when a worker dies, Dask suspects
every key that lies with it, and here that is the one it was working on.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from runtime import worker
from runtime.cluster_kinds import Kind
from runtime.errors import BucketError, ClusterError, HoldfastError
from runtime.files import make_folder
from runtime.task import Task

NO_WORKER_SECONDS = 60
ARRIVAL_SECONDS = 60  # what a network file system may take to show another machine's file
POLL_SECONDS = 1.0
ORDER_SUFFIX = ".task"

CarryOut = Callable[[Task, Sequence[Any], Callable[[], None]], None]


def hand_out(
    client: Any, kind: Kind, task: Task, keys: Sequence[Any], done: Callable[[], None]
) -> None:
    """Has each key carried out by a worker; calls `done` in this thread after each.

    A key whose worker dies is given to another. Raises the work's own HoldfastError,
    BucketError for a key that keeps killing its workers and where no worker or no scheduler is
    left, ClusterError where the workers cannot load the work. Finished keys keep their files,
    and what is under way when one fails is still finished, so that it need not be done again.
    """
    with _ordered(task) as order:
        _Handout(client, kind, task, order, keys).run(done)


@contextmanager
def _ordered(task: Task) -> Iterator[str]:
    """The path of the pickled task, there as long as it is worked on."""
    import cloudpickle

    path = make_folder(task.staging).absolute() / f".{uuid.uuid4().hex}{ORDER_SUFFIX}"
    path.write_bytes(cloudpickle.dumps(task))
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


class _Handout:
    def __init__(
        self, client: Any, kind: Kind, task: Task, order: str, keys: Sequence[Any]
    ) -> None:
        self.client = client
        self.kind = kind
        self.task = task
        self.order = order
        self.left = len(keys)
        self.waiting = deque(keys)
        self.running: dict[Any, Any] = {}  # future to key
        self.ready: SimpleQueue[Any] = SimpleQueue()
        self.last_worker_seen = time.monotonic()

    def run(self, done: Callable[[], None]) -> None:
        failed: HoldfastError | None = None
        try:
            while self.waiting or self.running:
                self._fill()
                with suppress(Empty):
                    future = self.ready.get(timeout=POLL_SECONDS)
                    try:
                        self._settle(future, self.running.pop(future))
                        self.left -= 1
                        done()
                    except HoldfastError as error:
                        failed = failed or error
                        self.waiting.clear()
            if failed:
                raise failed
        finally:
            with suppress(Exception):  # a scheduler that is gone has nothing to cancel
                self.client.cancel(list(self.running))

    def _fill(self) -> None:
        try:
            threads = sum(self.client.nthreads().values())
        except OSError:
            raise self._gone("the scheduler does not answer any more") from None
        if threads:
            self.last_worker_seen = time.monotonic()
        elif time.monotonic() - self.last_worker_seen > NO_WORKER_SECONDS:
            raise self._gone(f"all workers have been gone for {NO_WORKER_SECONDS} s")
        while self.waiting and len(self.running) < max(threads, 1):
            self._submit(self.waiting.popleft())

    def _submit(self, key: Any) -> None:
        future = self.client.submit(
            worker.carry_out,
            self.order,
            key,
            str(Path.cwd()),
            key=f"holdfast-{Path(self.order).stem}-{key}",
            pure=False,
        )
        self.running[future] = key
        future.add_done_callback(self.ready.put)

    def _settle(self, future: Any, key: Any) -> None:
        if future.status == "finished":
            self._await_arrival(key)
        elif future.status == "error":
            raise self._error(future.exception(), key)
        else:
            raise self._gone("the connection to the scheduler is lost")

    def _error(self, error: BaseException, key: Any) -> HoldfastError:
        if isinstance(error, HoldfastError):
            return error
        deaths = getattr(error, "allowed_failures", None)  # Dask's KilledWorker
        if deaths is not None:
            return BucketError(
                f"{self.task.called(key)} killed its worker {deaths + 1} times, likely for want "
                "of memory; use fewer workers or more buckets, and run again to go on"
            )
        return ClusterError(
            f"cluster {self.kind}: {self.task.called(key)}: a worker cannot load the work: "
            f"{type(error).__name__}: {error}; install the same Holdfast there"
        )

    def _await_arrival(self, key: Any) -> None:
        path, until = self.task.path(key), time.monotonic() + ARRIVAL_SECONDS
        while not path.exists():
            if time.monotonic() > until:
                raise ClusterError(
                    f"cluster {self.kind}: {path}: a worker says it is written, but it is not "
                    "there; let the workers share this folder"
                )
            list(path.parent.iterdir())  # makes a network file system look again
            time.sleep(0.1)

    def _gone(self, what: str) -> BucketError:
        return BucketError(
            f"{self.task.label}: cluster {self.kind}: {what}; {self.left} {self.task.unit}s are "
            "not done, finished ones are kept: mend the cluster and run again to go on"
        )
