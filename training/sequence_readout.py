"""What the heads read of a user at the cutoff: the encoder's last state and what time made of it.

The state after the last event does not know how long ago that was. So the heads are given the
time since as well, how long and how much the user has done, and tallies that fade: the number and
the amounts of each kind of event, each counted as half once a half-life has passed since it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from training.ragged import Ragged
from training.sequence_inputs import LARGEST

HALF_LIVES_DAYS = (2.0, 8.0, 32.0, 128.0)
DAY_S = 86_400.0
TIMES = 3  # since the last event, since the first one, number of events


class Readout(nn.Module):
    """A hidden layer over the encoder's last state and the numbers of `side`.

    kinds     how many kinds the sequences name
    hidden    numbers that come out
    dropout   of what goes in, while training

    The numbers are standardised by what `learn` finds; before it they are taken as they are.
    """

    mean: Tensor
    std: Tensor
    half_lives: Tensor

    def __init__(self, width: int, kinds: int, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.kinds, self.width = kinds + 1, hidden
        numbers = TIMES + 2 * len(HALF_LIVES_DAYS) * self.kinds
        self.drop = nn.Dropout(dropout)
        self.hidden = nn.Linear(width + numbers, hidden)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("std", torch.ones(numbers))
        half_lives = torch.tensor(HALF_LIVES_DAYS) * DAY_S
        self.register_buffer("half_lives", half_lives, persistent=False)

    @torch.no_grad()
    def learn(self, events: Ragged) -> None:
        """Mean and standard deviation of the numbers, of these sequences and no others: give those
        of training."""
        found = self.side(events).double()
        if not len(found):
            return
        spread = found.std(0, correction=0)
        self.mean.copy_(found.mean(0))
        self.std.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, state: Tensor, events: Ragged) -> Tensor:
        """Shape (n_sequences, hidden).

        state     shape (n_sequences, width), float32
        events    with `age`, seconds from each event to the cutoff
        """
        with torch.autocast(state.device.type, enabled=False):
            side = ((self.side(events) - self.mean) / self.std).clamp(-LARGEST, LARGEST)
            return silu(self.hidden(self.drop(torch.cat((state, side), 1))))

    @torch.no_grad()
    def side(self, events: Ragged) -> Tensor:
        """Shape (n_sequences, numbers), logs all of them; zeros of an empty sequence."""
        age, amount = events.values["age"], events.values["amount"]
        weights = torch.exp2(-age.unsqueeze(1) / self.half_lives)
        cells = events.owners * self.kinds + events.values["kind"].long()
        counts = self._tally(events, cells, weights)
        money = self._tally(events, cells, weights * amount.nan_to_num(0.0).unsqueeze(1))
        return torch.cat((_times(events), counts.log1p(), money.sign() * money.abs().log1p()), 1)

    def _tally(self, events: Ragged, cells: Tensor, faded: Tensor) -> Tensor:
        """Sums by kind, shape (n_sequences, kinds * half-lives)."""
        n = len(events.offsets) - 1
        found = faded.new_zeros(n * self.kinds, faded.shape[1]).index_add_(0, cells, faded)
        return found.view(n, self.kinds * faded.shape[1])


def _times(events: Ragged) -> Tensor:
    """Logs of the seconds since the last event and since the first, and of the number of events,
    shape (n_sequences, 3)."""
    lengths, age = events.lengths, events.values["age"]
    found = age.new_zeros(len(lengths), TIMES)
    full = lengths > 0
    found[full, 0] = age[events.offsets[1:][full] - 1].log1p()
    found[full, 1] = age[events.offsets[:-1][full]].log1p()
    found[:, 2] = lengths.to(age.dtype).log1p()
    return found
