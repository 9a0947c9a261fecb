"""A checkpoint is whole, its own, and never runs what it holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from runtime.errors import ModelError, OutputError
from training.checkpoints import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


class Shouts:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("shouted",)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a" / "training.pt"
    assert load_checkpoint(path, "mine", CPU) is None
    state = {"weights": {"w": torch.arange(3.0)}, "at": {"step": 4, "rows": [{"loss": 0.5}]}}
    save_checkpoint(path, "mine", state)
    found = load_checkpoint(path, "mine", CPU)
    assert found is not None
    assert found["at"] == state["at"]
    assert torch.equal(found["weights"]["w"], torch.arange(3.0))
    assert [p.name for p in path.parent.iterdir()] == ["training.pt"]


def test_a_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "training.pt"
    torch.save({"holdfast": "checkpoint", "version": 1, "identity": "i", "state": Shouts()}, path)
    with pytest.raises(ModelError, match="is no readable checkpoint") as told:
        load_checkpoint(path, "i", CPU)
    assert "\n" not in str(told.value)
    assert not Path("shouted").exists()


def test_another_ones_or_an_unknown_file_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "training.pt", "mine", {})
    with pytest.raises(ModelError, match=r"of another training \(mine, this one is yours\)"):
        load_checkpoint(path, "yours", CPU)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="holds None, this Holdfast reads"):
        load_checkpoint(path, "mine", CPU)


def test_a_kill_while_writing_leaves_the_last_one(tmp_path: Path) -> None:
    """What a killed process leaves beside it is swept away."""
    path = save_checkpoint(tmp_path / "training.pt", "mine", {"step": 1})
    left = tmp_path / f".training.pt.{2**22 + 5}.draft"  # of a process that there cannot be
    left.write_bytes(b"half")
    assert load_checkpoint(path, "mine", CPU) == {"step": 1}
    assert not left.exists()


def test_a_full_disk_is_named_and_the_last_one_kept(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "training.pt", "mine", {"step": 1})
    (tmp_path / f".training.pt.{os.getpid()}.draft").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the disk is full"):
        save_checkpoint(path, "mine", {"step": 2, "weights": torch.zeros(100_000)})
    assert load_checkpoint(path, "mine", CPU) == {"step": 1}
