"""Trains as one of several ranks that `torchrun` starts, broken off once; for a test that runs it.

Each rank prints a JSON line: the digests of the undisturbed and of the resumed weights.
"""

from __future__ import annotations

import json
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


class StoppedError(Exception): ...


@dataclass
class Breaking:
    held: Toys
    left: int

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in self.held.batches(epoch, start):
            if self.left == 0:
                raise StoppedError
            self.left -= 1
            yield batch


def weights_after(folder: Path, *stops: int) -> str:
    ranks = planned()
    # Of different length: the ranks do not come to the end of an epoch together.
    own, held = toys(60 + 20 * ranks.rank, seed=ranks.rank), toys(seed=8 + ranks.rank)
    for stop in stops:
        try:
            train(tiny_objective(), Breaking(own, stop), SETTINGS, validation=held, folder=folder)
        except StoppedError:
            continue
        raise AssertionError("was not broken off")
    objective = tiny_objective()
    trained = train(objective, own, SETTINGS, validation=held, folder=folder)
    state = {name: w.tolist() for name, w in objective.state_dict().items()}
    losses = [row["validation"] for row in trained.history]
    return digest_of([state, losses])


if __name__ == "__main__":
    torch.set_num_threads(1)
    base = Path(sys.argv[1])
    found = [weights_after(base / "undisturbed"), weights_after(base / "resumed", 5, 2)]
    (base / f"rank-{planned().rank}.json").write_text(json.dumps(found))
