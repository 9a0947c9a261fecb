"""Encoders: what is known of a user after each of his events.

All have one interface and are interchangeable; `ENCODERS` names them. An encoder holds the
`Inputs` that it reads the events by, so that one module is trained, moved and saved.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from runtime.errors import ModelError
from training.gru_steps import gru_by_step
from training.layouts import ByStep, InPlace, by_step, quickest
from training.local_attention import LocalAttention, elapsed
from training.ragged import Ragged
from training.sequence_inputs import Inputs

LAYERS = 2
LONGEST_MEMORY = 64.0  # events, of the slowest numbers of a state before training


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
        if not len(events.values["kind"]):
            return self.inputs.mean.new_zeros(0, self.width)
        return self.states(events)

    def states(self, events: Ragged) -> Tensor:
        """The same of at least one event: what an encoder defines."""
        raise NotImplementedError

    def summary(self, events: Ragged) -> Tensor:
        """`last` of the states, shape (n_sequences, width)."""
        return last(self(events), events)


class GRU(Encoder):
    """A gated recurrent unit, Cho et al. 2014: the weights and the numbers of `nn.GRU`.

    On a GPU it is cuDNN's over a packed batch, elsewhere `gru_steps`.
    """

    def __init__(self, inputs: Inputs, width: int) -> None:
        super().__init__(inputs, width)
        self.gru = nn.GRU(inputs.width, width)

    def states(self, events: Ragged) -> Tensor:
        order, gru = by_step(events), self.gru
        seen = self.inputs.of(order.take(events.values))
        if seen.is_cuda:
            sizes = torch.tensor(order.sizes)
            # cuDNN's under autocast is of float16, whatever autocast was asked for.
            with torch.autocast("cuda", enabled=False):
                packed, _ = gru(nn.utils.rnn.PackedSequence(seen.float(), sizes))
            return order.restore(packed.data)
        from_input, from_state, input_bias, state_bias = gru.all_weights[0]
        projected = linear(seen, from_input, input_bias)
        return order.restore(gru_by_step(projected, from_state, state_bias, order.sizes))


class Recurrence(Encoder):
    """Layers of linear recurrences whose gates look at the event alone, not at the state before:
    minGRU of Feng et al. 2024. So all products are made at once, and a step is one interpolation.

    Each event comes with the one before it, so that the first layer tells a pair from its reverse;
    what a layer finds is added to what it was given, and so a later layer's gates see what went
    before. An output gate and a second product a layer (as in Griffin, De et al. 2024) took twice
    the time and learned no more from as many events.
    """

    def __init__(self, inputs: Inputs, width: int, layers: int = LAYERS) -> None:
        super().__init__(inputs, width)
        self.first = nn.Linear(2 * inputs.width, width)
        self.layers = nn.ModuleList(RecurrentLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def states(self, events: Ragged) -> Tensor:
        order = quickest(events)
        seen = self.inputs.of(order.take(events.values))
        x = silu(self.first(torch.cat((seen, order.before(seen)), 1)))
        for layer in self.layers:
            x = layer(x, order)
        return order.restore(self.norm(x))


class RecurrentLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        with torch.no_grad():
            # Memories of 2 to 64 events from the first step on (Tallec and Ollivier 2018).
            memory = torch.logspace(1, log2(LONGEST_MEMORY), width, base=2.0)
            self.inner.bias[:width] = -(memory - 1).log()

    def forward(self, x: Tensor, order: ByStep | InPlace) -> Tensor:
        """Shape (n_events, width), in the order given."""
        logits, candidates = self.inner(self.norm(x)).chunk(2, 1)
        return x + order.scan(logits, candidates)


class Transformer(Encoder):
    """Causal attention over the last events alone, with a penalty for distance in events and in
    time instead of positions, over the batch as it lies."""

    def __init__(self, inputs: Inputs, width: int, layers: int = LAYERS) -> None:
        super().__init__(inputs, width)
        self.first = nn.Linear(inputs.width, width)
        self.layers = nn.ModuleList(LocalAttention(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def states(self, events: Ragged) -> Tensor:
        since, owners = elapsed(events), events.owners
        x = self.first(self.inputs(events))
        for layer in self.layers:
            x = layer(x, owners, since)
        states: Tensor = self.norm(x)
        return states


ENCODERS: dict[str, type[GRU] | type[Recurrence] | type[Transformer]] = {
    "gru": GRU,
    "recurrence": Recurrence,
    "transformer": Transformer,
}
DEFAULT = "recurrence"


def encoder(name: str, inputs: Inputs, width: int) -> Encoder:
    """The encoder of a name in ENCODERS. Raises ModelError for another."""
    if name not in ENCODERS:
        raise ModelError(f"no encoder '{name}'; choose one of {', '.join(sorted(ENCODERS))}")
    return ENCODERS[name](inputs, width)


def last(states: Tensor, events: Ragged) -> Tensor:
    """The state after the last event of each sequence, shape (n_sequences, width); zeros where
    there is none."""
    full = events.lengths > 0
    found = states.new_zeros(len(full), states.shape[1])
    return found.index_copy(0, full.nonzero()[:, 0], states[events.offsets[1:][full] - 1])
