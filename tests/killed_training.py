"""Trains in processes of its own, kills them at random moments, and looks what becomes of it.

Run with a folder, the number of kills and a seed; prints a JSON list with an entry a kill. The
processes are forks of this one, so that a moment is one of the training and not of the imports.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sequence_toys import EventsOf, tiny_network, toys

from training.sequence_fit import FineTuning
from training.sequence_loop import CHECKPOINT, train
from training.sequence_model import ABOUT, WEIGHTS, SequenceModel
from training.sequence_pretrain import Pretraining
from training.sequence_task import LoopSettings

SETTINGS = LoopSettings(steps=24, warmup_steps=5, validate_steps=6, checkpoint_steps=2)


def whole(folder: Path) -> None:
    """Pretraining, fine-tuning and the model, each taken up where it was left."""
    network = tiny_network()
    events, held = EventsOf(toys(seed=1)), toys(seed=2)
    pretraining = Pretraining(network.encoder, network.next)
    train(pretraining, events, SETTINGS, folder=folder / "pretraining")
    tuning = FineTuning(network)
    train(tuning, toys(seed=1), SETTINGS, validation=held, folder=folder / "tuning")
    SequenceModel(network, {}).save(folder / "model")


def forked(folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        whole(folder)
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr)
        os._exit(1)


def to_the_end(folder: Path) -> float:
    begun = time.monotonic()
    _, status = os.waitpid(forked(folder), 0)
    assert status == 0, status
    return time.monotonic() - begun


def killed(folder: Path, after_seconds: float) -> bool:
    child = forked(folder)
    time.sleep(after_seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def steps_done(folder: Path) -> list[int]:
    """By phase, the step of the checkpoint that is left; -1 where there is none."""
    paths = [folder / phase / CHECKPOINT for phase in ("pretraining", "tuning")]
    return [
        torch.load(p, weights_only=True)["state"]["at"]["step"] if p.exists() else -1 for p in paths
    ]


def one_kill(folder: Path, seconds: float, expected: bytes) -> dict[str, Any]:
    found = killed(folder, seconds)
    steps = steps_done(folder)
    to_the_end(folder)
    equal = held(folder) == expected
    left = [p.name for p in folder.rglob("*.draft")]
    return {"killed": found, "seconds": seconds, "steps": steps, "equal": equal, "drafts": left}


def held(folder: Path) -> bytes:
    return (folder / "model" / WEIGHTS).read_bytes() + (folder / "model" / ABOUT).read_bytes()


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    whole(folder / "warm")  # what PyTorch imports and starts on first use, the forks then have
    takes = to_the_end(folder / "undisturbed")
    random = np.random.default_rng(seed)
    expected = held(folder / "undisturbed")
    assert held(folder / "warm") == expected
    moments = random.uniform(0.05, 0.9, kills) * takes
    found = [one_kill(folder / f"{k}", float(m), expected) for k, m in enumerate(moments)]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
