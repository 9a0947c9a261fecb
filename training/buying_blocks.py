"""Sums over customers by blocks: on all cores, and the same to the last digit on any number."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from runtime.threads import in_threads
from training.metrics import Floats

# What a core's cache holds, and below what PyTorch shares out itself; what fills a card.
CPU_ROWS, GPU_ROWS = 1 << 14, 1 << 22
WORTH_SHARING = 8  # blocks

Columns = tuple[Tensor, ...]


def columns(device: str, *arrays: Floats) -> Columns:
    return tuple(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays)


def sum_blocks(work: Callable[[Columns], Tensor], parts: Columns, figures: int) -> Floats:
    """The sum of work(block) over blocks of rows of `parts`, shape (figures,), in their order."""
    on_card = parts[0].is_cuda
    size = GPU_ROWS if on_card else CPU_ROWS
    blocks = [tuple(part[i : i + size] for part in parts) for i in range(0, len(parts[0]), size)]
    total = np.zeros(figures)
    threads = 1 if on_card or len(blocks) < WORTH_SHARING else _cores()
    for found in in_threads(work, blocks, threads) if threads > 1 else map(work, blocks):
        total += found.cpu().numpy()
    return total


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
