"""The kinds of place that mapped work can be carried out in, and how a user writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime.device import Device
from runtime.errors import UsageError

MOST_PROCESSES = 1024
MOST_PORTS = 65535
ALLOWED = "none, local, local:N (N processes), cuda (a worker a GPU) or tcp://HOST:PORT"


@dataclass(frozen=True)
class InProcess:
    """Threads of this process: as many as it has cores when None. Memory: a bucket a thread."""

    threads: int | None = None

    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine, one task each: as many as there are cores when None."""

    workers: int | None = None

    def __str__(self) -> str:
        return "local" if self.workers is None else f"local:{self.workers}"


@dataclass(frozen=True)
class Gpus:
    """A process for each GPU of this machine."""

    def __str__(self) -> str:
        return "cuda"


@dataclass(frozen=True)
class Scheduler:
    """A Dask scheduler that somebody has started, with workers that see the same files."""

    address: str

    def __str__(self) -> str:
        return self.address


Kind = InProcess | LocalProcesses | Gpus | Scheduler

IN_PROCESS = InProcess()

_LOCAL = re.compile(r"local:(\d+)")
_ADDRESS = re.compile(r"tcp://(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d+)")


def parse_cluster(text: str) -> Kind:
    """none | local | local:N | cuda | tcp://HOST:PORT. Raises UsageError."""
    plain: dict[str, Kind] = {"none": IN_PROCESS, "local": LocalProcesses(), "cuda": Gpus()}
    if text in plain:
        return plain[text]
    if (local := _LOCAL.fullmatch(text)) and 1 <= int(local[1]) <= MOST_PROCESSES:
        return LocalProcesses(int(local[1]))
    if (address := _ADDRESS.fullmatch(text)) and 1 <= int(address[1]) <= MOST_PORTS:
        return Scheduler(text)
    raise UsageError(f"cluster '{text}': is none of the known kinds; give {ALLOWED}")


def require_fitting(kind: Kind, device: Device) -> None:
    """A GPU is worked on by one process. Raises UsageError."""
    if isinstance(kind, Gpus) and device.kind == "cpu":
        raise UsageError(
            f"cluster '{kind}' on device 'cpu' ({device.reason}); give --cluster local, or mend "
            "that"
        )
    if isinstance(kind, LocalProcesses) and device.kind == "gpu":
        raise UsageError(
            f"cluster '{kind}' on device 'gpu' ({device.reason}): the processes would share one "
            "GPU; give --cluster cuda or --device cpu"
        )
