"""What a sequence model learns from every user, labelled or not: what comes next, who is who."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training.encoders import last
from training.ragged import Ragged, gather
from training.sequence_heads import NextHead
from training.sequence_losses import contrastive_loss
from training.sequence_task import Loss, Parts, weighted


@dataclass(frozen=True)
class PretrainSettings:
    """`next_weight`, `coles_weight`: of the two objectives; 0 leaves one out.

    Of each user `pieces` random sub-sequences are taken, of `shortest` to `longest` events; of
    one with fewer events than that, all of them.
    """

    next_weight: float = 1.0
    coles_weight: float = 1.0
    pieces: int = 3
    shortest: int = 5
    longest: int = 100
    margin: float = 0.5
    negatives: int = 5


class Pretraining(nn.Module):
    """The loss of a batch of sequences, for the encoder and the head of the next event."""

    def __init__(
        self, encoder: nn.Module, head: NextHead | None, settings: PretrainSettings | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.settings = settings or PretrainSettings()

    def forward(self, events: Ragged) -> Loss:
        parts: Parts = {}
        if self.head is not None and self.settings.next_weight:
            found = self.head.loss(self.encoder(events), events)
            parts |= weighted(self.settings.next_weight, found)
        if self.settings.coles_weight:
            found = {"coles": self._contrast(events)}
            parts |= weighted(self.settings.coles_weight, found)
        return Loss(parts, len(events.values["kind"]))

    def _contrast(self, events: Ragged) -> tuple[Tensor, Tensor]:
        how = self.settings
        pieces, owners = sub_sequences(events, how.pieces, how.shortest, how.longest)
        embedded = last(self.encoder(pieces), pieces).float()
        # The distance of near ones is a difference of numbers near 1: lost in bfloat16.
        with torch.autocast(embedded.device.type, enabled=False):
            return contrastive_loss(normalize(embedded), owners, how.margin, how.negatives)


def sub_sequences(
    events: Ragged, pieces: int, shortest: int, longest: int
) -> tuple[Ragged, Tensor]:
    """Runs of events of each sequence, drawn at random, and whose each is, shape (n_pieces,).

    The random slices of Babaev et al. 2022, algorithm 1: first a length, all equally likely, then
    a place. Empty sequences have none. Drawn on the CPU by PyTorch's own generator, so that every
    device draws the same.
    """
    lengths = events.lengths.cpu()
    owners = lengths.nonzero().squeeze(1).repeat_interleave(pieces)
    held = lengths[owners]
    low, high = held.clamp(max=shortest), held.clamp(max=longest)
    size = low + _draw(high - low + 1)
    begin = events.offsets.cpu()[owners] + _draw(held - size + 1)
    device = events.offsets.device
    return gather(events.values, begin, begin + size), owners.to(device)


def _draw(counts: Tensor) -> Tensor:
    """A whole number from 0 to below each count, shape (n,)."""
    return (torch.rand(len(counts), dtype=torch.float64) * counts).long()
