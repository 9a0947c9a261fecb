"""Where a training stands, in one file that is whole or absent: tensors and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from runtime.errors import ModelError
from runtime.files import remove_drafts, write_atomic

FORMAT = {"holdfast": "checkpoint", "version": 1}


def save_checkpoint(path: Path, identity: str, state: Mapping[str, Any]) -> Path:
    """Writes tensors, numbers, texts, and lists and dicts of them.

    identity    a digest of what the training is of; another one's checkpoint is not taken up

    A process killed at any moment leaves the last checkpoint or this one. Raises OutputError
    where the disk is full or cannot be written.
    """
    held = {**FORMAT, "identity": identity, "state": dict(state)}
    return write_atomic(path, lambda draft: _write(draft, held))


def _write(path: Path, held: dict[str, Any]) -> None:
    """Through a file of Python's: given a path, PyTorch does not say that the disk is full."""
    with path.open("wb") as file:
        torch.save(held, file)


def load_checkpoint(path: Path, identity: str, device: torch.device) -> dict[str, Any] | None:
    """The state, its tensors on the device; None where there is no checkpoint.

    Nothing but tensors and plain values is ever made of the file (`weights_only`). Raises
    ModelError where it cannot be read or is of another training.
    """
    remove_drafts(path)
    if not path.exists():
        return None
    try:
        held = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # PyTorch has no common error for a broken file
        told = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path}: is no readable checkpoint ({told}); remove it") from None
    found = {key: held.get(key) for key in FORMAT} if isinstance(held, dict) else None
    if found != FORMAT:
        raise ModelError(f"{path}: holds {found}, this Holdfast reads {FORMAT}; remove it")
    if held["identity"] != identity:
        raise ModelError(
            f"{path}: is of another training ({held['identity']}, this one is {identity}); "
            "remove it, or train in another folder"
        )
    state: dict[str, Any] = held["state"]
    return state
