"""Pretraining of an encoder on everyone, and its fine-tuning on those whose outcome is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from training.ragged import Ragged
from training.sequence_heads import Network
from training.sequence_task import Loss, Parts, weighted


@dataclass(frozen=True)
class Outcomes:
    """A batch of users and what became of them.

    low, high    Int64, shape (n_sequences,); see `sequence_heads.known_bins`
    value        shape (n_sequences,), money; NaN where it is unknown
    """

    events: Ragged
    low: Tensor
    high: Tensor
    value: Tensor


@dataclass(frozen=True)
class OutcomeWeights:
    """Of the parts of the loss, each a mean over the users of whom it is known; of the next event
    over the events."""

    churn: float = 1.0
    value: float = 1.0
    next: float = 0.0


class FineTuning(nn.Module):
    """The loss of a batch of outcomes, over the heads that the network has."""

    def __init__(self, network: Network, weights: OutcomeWeights | None = None) -> None:
        super().__init__()
        self.network = network
        self.weights = weights or OutcomeWeights()

    @property
    def encoder(self) -> nn.Module:
        return self.network.encoder

    def forward(self, batch: Outcomes) -> Loss:
        states = self.network.encoder(batch.events)
        state = self.network.read(states, batch.events)
        parts: Parts = {}
        if (churn := self.network.churn) and self.weights.churn:
            found = {"churn": churn.loss(churn(state), batch.low, batch.high)}
            parts |= weighted(self.weights.churn, found)
        if (value := self.network.value) and self.weights.value:
            found = {"value": value.loss(value(state), batch.value)}
            parts |= weighted(self.weights.value, found)
        if (mean := self.network.mean) and self.weights.value:
            parts |= weighted(self.weights.value, {"mean": mean.loss(mean(state), batch.value)})
        if (following := self.network.next) and self.weights.next:
            parts |= weighted(self.weights.next, following.loss(states, batch.events))
        return Loss(parts, len(states))


class Source(Protocol):
    """What `sequence_batches.Batches` is: each batch has `events`, and `rows`, Int64, shape
    (n_sequences,), which say of which slices they are."""

    def epoch(self, epoch: int, step: int = 0) -> Iterator[Any]: ...


@dataclass(frozen=True)
class EventBatches:
    """The events alone, for pretraining."""

    source: Source

    def batches(self, epoch: int, start: int = 0) -> Iterator[Ragged]:
        for batch in self.source.epoch(epoch, start):
            yield batch.events


@dataclass(frozen=True)
class OutcomeBatches:
    """The events with what became of their users, for fine-tuning.

    low, high, value    of every slice of the source, as in `Outcomes`, on the CPU
    """

    source: Source
    low: Tensor
    high: Tensor
    value: Tensor

    def batches(self, epoch: int, start: int = 0) -> Iterator[Outcomes]:
        for batch in self.source.epoch(epoch, start):
            device = batch.events.offsets.device
            told = (x[batch.rows].to(device) for x in (self.low, self.high, self.value))
            yield Outcomes(batch.events, *told)


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Modules made within draw their first weights from the seed; nothing outside is disturbed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
