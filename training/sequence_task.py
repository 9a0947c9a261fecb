"""What a training of a sequence model is given, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

Parts = dict[str, tuple[Tensor, Tensor]]  # by name, a sum and the number of terms in it


class Batches(Protocol):
    """A rank's batches, in an order that (seed, epoch) decides; `start`: how many to leave out."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Loss:
    """What a batch costs.

    parts     of which the mean is minimised, one added to the other
    events    how many events were read
    """

    parts: Parts
    events: int

    def mean(self) -> Tensor:
        means = [total / count.clamp(min=1) for total, count in self.parts.values()]
        return torch.stack(means).sum()


def weighted(weight: float, parts: Parts) -> Parts:
    return {name: (weight * total, count) for name, (total, count) in parts.items()}


@dataclass(frozen=True)
class LoopSettings:
    """`steps`: the most that are done, which the cosine ends at; over as many epochs as it takes.

    patience    validations without a better one before it stops
    precision   bfloat16: of the encoder's products; auto: that on a GPU, float32 elsewhere
    compile     the encoder, by torch.compile; pays on a GPU and in long trainings
    """

    steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 50
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: float = 1.0
    validate_steps: int = 200
    patience: int = 5
    checkpoint_steps: int = 200
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0; up in a line, then constant or down a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


@dataclass(frozen=True)
class Trained:
    """`history`: at each validation `step`, `epoch`, `rate`, `train` and `validation`: the means
    of the loss and its parts. `best_step`: whose weights are kept. `events`: read by this rank."""

    steps: int
    best_step: int
    events: int
    stopped: str
    history: tuple[dict[str, Any], ...]
