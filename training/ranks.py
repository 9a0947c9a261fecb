"""Several processes that train one model, as `torchrun` starts them; one alone without it.

Each has its own batches and its own GPU; PyTorch averages the gradients. Tried with processes on a
CPU (gloo); not yet on several GPUs (NCCL).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

LONGEST_WAIT = timedelta(days=1)  # one may work alone for long; torchrun ends all if one dies


@dataclass(frozen=True)
class Ranks:
    """`rank` of `size` processes; rank 0 writes the files and shows the progress."""

    rank: int = 0
    size: int = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the ranks."""
        if self.size == 1:
            return module
        # A head may have nothing to do with a batch, such as one without a known value.
        return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)

    def sum(self, numbers: Tensor) -> Tensor:
        """Of every rank's numbers, shape as given."""
        if self.size > 1:
            distributed.all_reduce(numbers)
        return numbers

    def wait(self) -> None:
        """For all of them."""
        if self.size > 1:
            distributed.barrier()

    def gather(self, value: list[int]) -> list[list[int]]:
        """Every rank's whole numbers, the same count from each, by rank."""
        if self.size == 1:
            return [value]
        on_gpus = distributed.get_backend() == "nccl"
        mine = torch.tensor(value, device=own_device("gpu" if on_gpus else "cpu"))
        every = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(every, mine)
        return [one.tolist() for one in every]


def planned() -> Ranks:
    """What `torchrun` has told this process by WORLD_SIZE and RANK; one alone without."""
    found: dict[str, Any] = dict(os.environ)
    return Ranks(int(found.get("RANK", 0)), int(found.get("WORLD_SIZE", 1)))


def own_device(kind: str) -> torch.device:
    """The process' own GPU by LOCAL_RANK, the first without; the CPU where `kind` is not "gpu"."""
    if kind != "gpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The ranks, met; they part at the end. Of a process alone nothing is asked."""
    ranks = planned()
    if ranks.size == 1 or distributed.is_initialized():
        yield ranks
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()
