"""Where mapped work is carried out: in this process, or by Dask, whose one doorway this is.

Dask is imported only once a cluster is started. It hands out keys and notices dead workers;
the results are files that the workers write, so nothing is shuffled or gathered.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from runtime.cluster_kinds import (
    IN_PROCESS,
    Gpus,
    InProcess,
    Kind,
    LocalProcesses,
    Scheduler,
    parse_cluster,
    require_fitting,
)
from runtime.cluster_options import (
    NATIVE_THREADS,
    PLAIN_ALLOCATIONS,
    gpu_options,
    local_options,
)
from runtime.device import decide
from runtime.errors import ClusterError
from runtime.handout import CarryOut, hand_out
from runtime.pool import available_cores, carry_out_here
from runtime.probe import require_able, require_workers

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Started:
    """A cluster that is up, for one stage after another. In a worker it is that worker alone.

    `slots`: how many keys that each take all of a worker are worked on at a time.
    """

    kind: Kind
    carry_out: CarryOut
    slots: int = 1

    def __reduce__(self) -> tuple[type[InProcess], tuple[int]]:
        return InProcess, (1,)


Cluster = Kind | Started
Work = tuple[CarryOut, int]  # what does it, and its slots


@contextmanager
def connected(cluster: Cluster) -> Iterator[Started]:
    """Starts what must be started and ends it again; what is up already is handed on as it is.

    Raises ClusterError where nobody answers or there is no GPU.
    """
    if isinstance(cluster, Started):
        yield cluster
        return
    with _STARTS[type(cluster)](cluster) as (carry_out, slots):
        yield Started(cluster, carry_out, slots)


@contextmanager
def _here(kind: InProcess) -> Iterator[Work]:
    yield partial(carry_out_here, threads=kind.threads), 1


@contextmanager
def _processes(kind: LocalProcesses) -> Iterator[Work]:
    from distributed import LocalCluster

    workers = kind.workers or available_cores()
    with _own(kind, LocalCluster, partial(local_options, workers), workers, {}) as started:
        yield started


@contextmanager
def _gpus(kind: Gpus) -> Iterator[Work]:
    device = decide("auto")
    if device.kind == "cpu":
        raise ClusterError(f"cluster {kind}: {device.reason}; use --cluster local, or mend that")
    try:
        from dask_cuda import LocalCUDACluster
        from dask_cuda.utils import get_n_gpus

        workers = get_n_gpus()
    except ImportError as error:
        raise ClusterError(
            f"cluster {kind}: {error}; install it with pip install 'holdfast[gpu]'"
        ) from None
    except Exception as error:  # NVML's own, which has no other base
        raise ClusterError(f"cluster {kind}: the GPUs cannot be counted: {error}") from error
    with _own(kind, LocalCUDACluster, gpu_options, workers, PLAIN_ALLOCATIONS) as started:
        yield started


@contextmanager
def _own(
    kind: Kind,
    start: Callable[..., Any],
    options: Callable[[str], dict[str, Any]],
    workers: int,
    environment: Mapping[str, str],
) -> Iterator[Work]:
    """A cluster of our own processes on this machine, gone at the end of the block.

    After an error or Ctrl-C a bucket that is under way has some seconds (Dask's) to end.
    """
    with (
        _quiet(),
        _scratch() as folder,
        _environment(workers, environment) as settle,
        _running(partial(start, **options(folder)), kind) as client,
    ):
        settle()
        yield partial(hand_out, client, kind), workers


@contextmanager
def _elsewhere(kind: Scheduler) -> Iterator[Work]:
    def carry_out(task: Any, keys: Any, done: Any) -> None:
        require_able(client, kind, task.staging)
        hand_out(client, kind, task, keys, done)

    with _quiet():
        try:
            client = _client(kind.address)
        except OSError:
            raise ClusterError(
                f"cluster {kind}: no Dask scheduler answers there within {CONNECT_SECONDS} s; "
                "check the address or start one with 'dask scheduler'"
            ) from None
        with client:
            require_workers(client, kind)
            yield carry_out, _threads(client)


def _threads(client: Any) -> int:
    return sum(client.nthreads().values())


_STARTS: Mapping[type[Any], Callable[[Any], AbstractContextManager[Work]]] = {
    InProcess: _here,
    LocalProcesses: _processes,
    Gpus: _gpus,
    Scheduler: _elsewhere,
}


def _client(of: Any) -> Client:
    from distributed import Client

    client: Client = Client(of, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    return client


@contextmanager
def _running(start: Callable[[], Any], kind: Kind) -> Iterator[Client]:
    """The cluster that `start` makes and a client of it; both end with the block."""
    try:
        cluster = start()
    except Exception as error:  # of Dask's many layers, and of NVML
        raise ClusterError(f"cluster {kind}: cannot be started: {error}") from error
    with cluster, _client(cluster) as client:
        yield client


@contextmanager
def _scratch() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="holdfast-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def _environment(workers: int, extra: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """Workers share the cores; a number that the user has set in the environment stands.

    Dask sets the workers' variables in this process before it starts each of them; what is
    yielded puts this process' own back, and so does the end of the block.
    """
    import dask

    share = str(max(1, available_cores() // workers))
    name = "distributed.nanny.pre-spawn-environ"
    theirs = {**dask.config.get(name, {}), **dict.fromkeys(NATIVE_THREADS, share), **extra}
    before = {variable: os.environ.get(variable) for variable in theirs}

    def settle() -> None:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value

    with dask.config.set({name: theirs}):
        try:
            yield settle
        finally:
            settle()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own log of this process: what matters is raised as an error of ours."""
    import distributed  # noqa: F401  # sets its log up when it is first imported

    log = logging.getLogger("distributed")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


__all__ = [
    "IN_PROCESS",
    "Cluster",
    "Gpus",
    "InProcess",
    "LocalProcesses",
    "Scheduler",
    "Started",
    "connected",
    "parse_cluster",
    "require_fitting",
]
