"""What a model sees of each event: codes looked up, the clock as angles, gap and amount in logs."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

import torch
from torch import Tensor, nn

from features.sequences import NO_CHANNEL, RARE_CHANNEL
from training.ragged import Ragged

HOURS, DAYS = 24, 7
HARMONICS = (1, 2)  # of the day and of the week: a slope and, say, noon apart from both rush hours
CLOCK_WIDTH = 4 * len(HARMONICS)
NUMBERS_WIDTH = 4  # gap and amount, and of each whether it is missing
LARGEST = 8.0  # standard deviations; what lies farther out is held there
COLUMNS = ("kind", "channel", "gap", "amount", "hour", "weekday")


class Inputs(nn.Module):
    """Events as vectors of `width` numbers, each of its own event alone.

    kinds, channels    how many the sequences name (`Sequences.kinds`, `.channels`); the codes of
                       those without a name have vectors of their own

    Gap and amount are standardised by what `learn` finds; before it they are taken as they are.
    """

    mean: Tensor
    std: Tensor
    clock: Tensor

    def __init__(
        self, kinds: int, channels: int, kind_width: int = 16, channel_width: int = 4
    ) -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds + 1, kind_width)
        self.channel = nn.Embedding(channels + max(NO_CHANNEL, RARE_CHANNEL) + 1, channel_width)
        self.width = kind_width + channel_width + CLOCK_WIDTH + NUMBERS_WIDTH
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("std", torch.ones(2))
        self.register_buffer("clock", _clock(), persistent=False)

    def learn(self, events: Ragged) -> None:
        """Mean and standard deviation of log gap and log amount, of these events and no others:
        give those of training. A sample of a million events is as good as all."""
        logs = _logs(events.values).double()
        for place in range(2):
            known = logs[:, place][~logs[:, place].isnan()]
            spread = float(known.std(correction=0)) if len(known) else 0.0
            self.mean[place] = known.mean() if len(known) else 0.0
            self.std[place] = spread if spread > 0 else 1.0

    def forward(self, events: Ragged) -> Tensor:
        """Shape (n_events, width), in the order of the events."""
        return self.of(events.values)

    def of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The same of events in any order, from COLUMNS, each of shape (n_events,)."""
        when = columns["weekday"].int() * HOURS + columns["hour"]
        parts = (
            self.kind(columns["kind"].int()),
            self.channel(columns["channel"].int()),
            self.clock.index_select(0, when),
            self._numbers(columns),
        )
        return torch.cat(parts, 1)

    def _numbers(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Shape (n_events, 4); what is missing is 0, the mean, and has its flag."""
        scaled = (_logs(columns) - self.mean) / self.std
        missing = scaled.isnan()
        held = scaled.clamp(-LARGEST, LARGEST).masked_fill(missing, 0.0)
        return torch.cat((held, missing.to(held.dtype)), 1)


def _logs(columns: Mapping[str, Tensor]) -> Tensor:
    """log(1 + gap in seconds) and sign · log(1 + |amount|), shape (n_events, 2); NaN as found."""
    amount = columns["amount"]
    return torch.stack((columns["gap"].log1p(), amount.sign() * amount.abs().log1p()), 1)


def _clock() -> Tensor:
    """Sine and cosine of the hour and of the time of week, shape (168, 8), by weekday and hour."""
    hours = torch.arange(DAYS * HOURS, dtype=torch.float64)
    angles = [
        2 * pi * harmonic * hours / period
        for period in (HOURS, HOURS * DAYS)
        for harmonic in HARMONICS
    ]
    waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.stack(waves, 1).float()
