"""Processes that train one model end with the same weights, also when taken up again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from small_project import AS_OF, small_log, write_small_project

from holdfast.cli import run
from runtime.device import Device
from runtime.settings import load_settings
from training.ranks import Ranks, joined, own_device, planned
from training.recipe import train
from training.sequence_batches import TS
from training.sequence_inputs import COLUMNS
from training.sequence_loop import CHECKPOINT
from training.sequence_rows import Located
from training.sequence_spec import SequenceSpec
from training.tracking import list_runs

TESTS = Path(__file__).parents[1]
TORCHRUN = [
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--standalone", "--nproc-per-node", "2"),
]
HOLDFAST = "import sys; from holdfast.cli import run; sys.exit(run(sys.argv[1:]))"


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


def test_each_has_rows_and_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = np.arange(0, 400, 10)
    at = pl.Series([datetime(2024, 1, 1, tzinfo=UTC)] * 40, dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({"part": 0, "begin": begin, "end": begin + 10, "cutoff": at})
    part = {name: torch.zeros(400) for name in (*COLUMNS, TS)}
    spec, own = replace(SequenceSpec(), batch=4), []
    for rank in ("0", "1"):
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2")):
            monkeypatch.setenv(name, value)
        batches = Located(frame, (part,)).batches(spec, torch.device("cpu"))
        own.append(np.concatenate(batches.plan(0)).tolist())
        assert own_device("gpu") == torch.device("cuda", int(rank))
        assert own_device("cpu") == torch.device("cpu")
        assert max(map(len, batches.plan(0))) == 2, "half of a batch"
    assert sorted(own[0] + own[1]) == list(range(40))
    assert len(own[0]) == len(own[1])


def ranked(folder: Path, dies_after: int = -1) -> list[str]:
    """What two ranks on the CPU (gloo), started by torchrun itself, come to."""
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    done = subprocess.run(
        [*TORCHRUN, str(TESTS / "ranked_training.py"), str(folder), str(dies_after)],
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


def _said(call: list[str]) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(call, check=False, capture_output=True, text=True, env=env)


@pytest.mark.slow
def test_the_command_trains_one_model_in_two_processes(tmp_path: Path) -> None:
    """One run, one answer, and a model about as good as that of one process."""
    config = write_small_project(tmp_path, small_log(200))
    assert run(["ingest", "-c", str(config)]) == 0
    call = (*TORCHRUN, "--no-python", sys.executable, "-c", HOLDFAST)
    given = ("train", "-c", str(config), "--as-of", "2024-08-01", "--json", "--model")
    done = _said([*call, *given, "sequence"])
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    told = json.loads(done.stdout)
    (found,) = list_runs(load_settings(config))
    assert (found.run_id, found.version, found.status) == (told["run_id"], 1, "FINISHED")
    alone = train(load_settings(config), AS_OF, "sequence", Device("cpu", "a test"))
    for name, off in (("churn_roc_auc", 0.05), ("value_normalized_gini", 0.1)):
        assert told["metrics"][name] == pytest.approx(alone.metrics[name], abs=off)
    refused = _said([*call, *given, "auto"])
    assert refused.returncode != 0
    assert "several processes train the sequence model alone" in refused.stdout


def load_step(path: Path) -> int:
    step: int = torch.load(path, weights_only=True)["state"]["at"]["step"]
    return step
