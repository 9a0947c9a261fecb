"""A small encoder and small batches of sequences, for tests of what trains and uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.ragged import Ragged, gather
from training.sequence_fit import FineTuning, Outcomes, drawn_from
from training.sequence_heads import Network, known_bins

KINDS = 4
EDGES = (7.0, 14.0, 28.0)
HEADS: dict[str, dict[str, Any]] = {
    "churn": {"edges": list(EDGES), "passive": True},
    "value": {"scale": 10.0},
    "next": {"kinds": KINDS, "parts": 3},
}


class TinyEncoder(nn.Module):
    """A GRU over the kind and the log of the gap, with dropout to draw random numbers by."""

    def __init__(self, width: int = 6, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.kind = nn.Embedding(KINDS, 3)
        self.drop = nn.Dropout(dropout)
        self.gru = nn.GRU(4, width, batch_first=True)

    def forward(self, events: Ragged) -> Tensor:
        gap = events.values["gap"].nan_to_num(0.0).log1p() / 10
        seen = torch.cat((self.kind(events.values["kind"].int()), gap.unsqueeze(1)), 1)
        padded, mask = Ragged({"seen": self.drop(seen)}, events.offsets).padded()
        if not mask.any():
            return seen.new_zeros(0, self.width)
        states, _ = self.gru(padded["seen"])
        return states[mask]


def build(settings: Mapping[str, Any]) -> TinyEncoder:
    return TinyEncoder(**settings)


def tiny_network(seed: int = 0, heads: Mapping[str, Mapping[str, Any]] = HEADS) -> Network:
    with drawn_from(seed):
        return Network(TinyEncoder(), heads)


def tiny_objective(seed: int = 0) -> FineTuning:
    return FineTuning(tiny_network(seed))


@dataclass(frozen=True)
class Toys:
    """Users of whom the share of kind 1 tells whether they stay and what they spend."""

    columns: dict[str, Tensor]
    begin: Tensor
    end: Tensor
    labels: Tensor  # (n, 3): passive churn at each of EDGES, NaN where not matured
    value: Tensor
    batch: int
    seed: int

    def batches(self, epoch: int, start: int = 0) -> Iterator[Outcomes]:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.begin))
        for first in range(start * self.batch, len(order), self.batch):
            yield self.of(torch.from_numpy(order[first : first + self.batch]))

    def of(self, users: Tensor) -> Outcomes:
        events = gather(self.columns, self.begin[users], self.end[users])
        low, high = known_bins(self.labels[users], EDGES, EDGES, passive=True)
        return Outcomes(events, low, high, self.value[users])


@dataclass(frozen=True)
class EventsOf:
    """The events of the toys' batches alone, for pretraining."""

    held: Toys

    def batches(self, epoch: int, start: int = 0) -> Iterator[Ragged]:
        for batch in self.held.batches(epoch, start):
            yield batch.events


def toys(users: int = 60, seed: int = 0, batch: int = 16) -> Toys:
    random = np.random.default_rng(seed)
    lengths = random.geometric(0.1, users) - 1  # some have none
    ends = lengths.cumsum()
    trait = random.random(users)
    kind = np.where(random.random(ends[-1]) < np.repeat(trait, lengths), 1, 0)
    kind += 2 * (random.random(ends[-1]) < 0.3)
    gap = random.exponential(1e5, ends[-1]).astype(np.float32)
    back = random.exponential(2 + 60 * (1 - trait))  # days until the user is back
    labels = (back[:, None] >= np.array(EDGES)).astype(np.float32)
    labels[random.random(users) < 0.3, 2] = np.nan
    value = np.where(back < 28, random.lognormal(1 + 2 * trait, 0.5), 0.0).astype(np.float32)
    value[np.isnan(labels[:, 2])] = np.nan
    columns = {"kind": torch.from_numpy(kind.astype(np.int16)), "gap": torch.from_numpy(gap)}
    parts = (torch.from_numpy(part) for part in (ends - lengths, ends, labels, value))
    return Toys(columns, *parts, batch=batch, seed=seed)
