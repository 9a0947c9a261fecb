"""Encoders: what is known of a user after each of his events.

All have one interface and are interchangeable; `ENCODERS` names them. An encoder holds the
`Inputs` that it reads the events by, so that one module is trained, moved and saved.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.ragged import Ragged
from training.sequence_inputs import Inputs


class Encoder(nn.Module):
    """Turns events into states.

    inputs    what an event looks like
    width     numbers in a state
    """

    def __init__(self, inputs: Inputs, width: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.width = width

    def forward(self, events: Ragged) -> Tensor:
        """State after each event, flat, shape (n_events, width): the state at an event has seen it
        and those before it in its own sequence, nothing later, and no other sequence."""
        raise NotImplementedError

    def summary(self, events: Ragged) -> Tensor:
        """`last` of the states, shape (n_sequences, width)."""
        return last(self(events), events)


class GRU(Encoder):
    """A gated recurrent unit, Cho et al. 2014, as `nn.GRU` computes it."""

    def __init__(self, inputs: Inputs, width: int) -> None:
        super().__init__(inputs, width)
        self.gru = nn.GRU(inputs.width, width)

    def forward(self, events: Ragged) -> Tensor:
        full = events.lengths > 0
        values = {**events.values, "inputs": self.inputs(events)}
        if not full.any():
            return values["inputs"].new_zeros(0, self.width)
        lengths = events.lengths[full]
        compact = Ragged(values, nn.functional.pad(lengths.cumsum(0), (1, 0)))
        packed = compact.packed("inputs")
        states, _ = self.gru(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        flat: Tensor = padded[compact.owners, compact.places]
        return flat


ENCODERS: dict[str, type[Encoder]] = {"gru": GRU}


def last(states: Tensor, events: Ragged) -> Tensor:
    """The state after the last event of each sequence, shape (n_sequences, width); zeros where
    there is none."""
    full = events.lengths > 0
    found = states.new_zeros(len(full), states.shape[1])
    return found.index_copy(0, full.nonzero()[:, 0], states[events.offsets[1:][full] - 1])
