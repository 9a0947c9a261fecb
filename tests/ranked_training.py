"""Trains as one of several ranks that `torchrun` starts; for a test that runs it.

Given a folder, and a number of batches after which the rank kills itself (-1: never), it leaves a
digest of the weights and of the losses in `rank-N.json`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sequence_toys import Toys, tiny_objective, toys

from runtime.files import digest_of
from training.ranks import planned
from training.sequence_loop import train
from training.sequence_task import LoopSettings

SETTINGS = LoopSettings(steps=12, warmup_steps=3, validate_steps=4, checkpoint_steps=3)


@dataclass
class Deadly:
    held: Toys
    left: int

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in self.held.batches(epoch, start):
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
            yield batch


def main(folder: Path, dies_after: int) -> None:
    torch.set_num_threads(1)
    ranks = planned()
    # Of different length: the ranks do not come to the end of an epoch together.
    own, held = toys(60 + 20 * ranks.rank, seed=ranks.rank), toys(seed=8 + ranks.rank)
    objective = tiny_objective()
    trained = train(objective, Deadly(own, dies_after), SETTINGS, validation=held, folder=folder)
    state = {name: w.tolist() for name, w in objective.state_dict().items()}
    losses = [row["validation"] for row in trained.history]
    losses += [{k: round(v, 9) for k, v in row["train"].items()} for row in trained.history]
    (folder / f"rank-{ranks.rank}.json").write_text(json.dumps(digest_of([state, losses])))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
