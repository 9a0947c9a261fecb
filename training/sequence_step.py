"""Parts of a training step that know nothing of where the training stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from runtime.files import digest_of
from training.sequence_task import LoopSettings


def optimizer(
    objective: nn.Module, settings: LoopSettings, device: torch.device
) -> torch.optim.AdamW:
    """Decay for matrices alone: a bias or a scale at 0 is no simpler than elsewhere."""
    held = [p for p in objective.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in held if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in held if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = device.type == "cuda"
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of the names and the bytes of the weights, as hex."""
    digest = hashlib.sha256()
    for name, held in module.state_dict().items():
        digest.update(f"{name} {tuple(held.shape)}".encode())
        digest.update(held.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def mixed(*numbers: int) -> int:
    """A seed that depends on all of the numbers."""
    return int(digest_of(numbers, 15), 16)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On the CPU every sum in one order. A GPU's fast ones have none, and are let be."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filling = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    memory.fill_uninitialized_memory = filling and before  # costs time, and no sum depends on it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filling


def autocast(settings: LoopSettings, device: torch.device) -> torch.autocast:
    """bfloat16 where it is asked for; "auto": on a GPU, which has units for it."""
    wanted = settings.precision
    if wanted == "auto":
        wanted = "bfloat16" if device.type == "cuda" else "float32"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted == "bfloat16")
