"""Processes that train one model end with the same weights, also when taken up again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.ranks import Ranks, joined, planned
from training.sequence_loop import CHECKPOINT

TESTS = Path(__file__).parents[1]


def test_without_torchrun_a_process_is_alone() -> None:
    assert planned() == Ranks(0, 1)
    with joined(torch.device("cpu")) as ranks:
        assert ranks == Ranks()
        assert not torch.distributed.is_initialized()
    numbers = torch.tensor([1.0, 2.0])
    assert ranks.sum(numbers) is numbers
    assert ranks.gather([3, 4]) == [[3, 4]]
    module = torch.nn.Linear(1, 1)
    assert ranks.wrap(module) is module


def test_what_torchrun_says_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert planned() == Ranks(2, 4)


def ranked(folder: Path, dies_after: int = -1) -> list[str]:
    """What two ranks on the CPU (gloo), started by torchrun itself, come to."""
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*run, str(TESTS / "ranked_training.py"), str(folder), str(dies_after)],
        check=False,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert (done.returncode == 0) == (dies_after < 0)
    return [path.read_text() for path in sorted(folder.glob("rank-*.json"))]


@pytest.mark.slow
def test_two_ranks_train_one_model_and_resume_it(tmp_path: Path) -> None:
    undisturbed = ranked(tmp_path / "undisturbed")
    assert len(undisturbed) == 2
    assert undisturbed[0] == undisturbed[1]
    assert ranked(tmp_path / "killed", dies_after=5) == []
    assert load_step(tmp_path / "killed" / CHECKPOINT) == 3
    assert ranked(tmp_path / "killed") == undisturbed


def load_step(path: Path) -> int:
    step: int = torch.load(path, weights_only=True)["state"]["at"]["step"]
    return step
