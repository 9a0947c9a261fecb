"""Processes that train one model end with the same weights, also when taken up again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.ranks import Ranks, joined, planned

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


@pytest.mark.slow
def test_two_ranks_train_one_model_and_resume_it(tmp_path: Path) -> None:
    """On the CPU, through gloo, started by torchrun itself."""
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*run, str(TESTS / "ranked_training.py"), str(tmp_path)],
        check=True,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert found[0] == found[1]
    undisturbed, resumed = found[0]
    assert resumed == undisturbed
