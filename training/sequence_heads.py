"""What is read off the state after a user's last event: churn, value, the next event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from training import sequence_losses as losses
from training.encoders import last
from training.ragged import Ragged
from training.sequence_readout import Readout

Head = TypeVar("Head")


class _Head(nn.Module):
    """A linear layer that computes in float32 also where the encoder does not: the logs of small
    probabilities do not survive bfloat16."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, outputs)

    def _outputs(self, state: Tensor) -> Tensor:
        with torch.autocast(state.device.type, enabled=False):
            found: Tensor = self.out(state.float())
        return found


class ChurnHead(_Head):
    """A discrete-time hazard over bins of days from the start of the label span.

    edges      the days at which the bins end, rising; the last is the longest horizon fitted
    passive    what is timed. Passive churn is silence: the event is the first activity, and
               churn at a horizon is that it has not come by then. Otherwise the event is
               leaving, and churn at a horizon is that it has.
    """

    edges: Tensor

    def __init__(self, width: int, edges: Sequence[float], *, passive: bool) -> None:
        if not edges or edges[0] <= 0 or any(b <= a for a, b in pairwise(edges)):
            raise ValueError(f"edges {tuple(edges)}: give days above 0 that rise")
        super().__init__(width, len(edges))
        self.passive = passive
        self.register_buffer("edges", torch.tensor(tuple(edges)), persistent=False)
        nn.init.constant_(self.out.bias, -torch.log(torch.tensor(float(len(edges)))).item())

    def forward(self, state: Tensor) -> Tensor:
        """Log-odds of the event in each bin, given none before it, shape (n, bins)."""
        return self._outputs(state)

    def loss(self, logits: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, and of how many users something is known; `low`, `high`: see `known_bins`."""
        told = (low > 0) | (high <= len(self.edges))
        return losses.hazard_loss(logits, low, high).sum(), told.sum()

    def churn(self, logits: Tensor, days: Tensor) -> Tensor:
        """The chance of the churn label at horizons of so many days, shape (n, len(days)); over
        the days it never falls, or, where churn is passive, never rises."""
        found = losses.reached(logits, self.edges, days.to(self.edges))
        return 1 - found if self.passive else found


def known_bins(
    labels: Tensor, horizons: Sequence[float], edges: Sequence[float], *, passive: bool
) -> tuple[Tensor, Tensor]:
    """`low` and `high` of `losses.hazard_loss`, from churn labels at several horizons.

    labels      shape (n, len(horizons)): 0, 1 or NaN where the horizon has not matured, or where
                the user has no label
    horizons    days; one that is no edge is rounded to the side on which what it says is true

    Nothing is known of a user without a label: low 0, high bins + 1, a loss of 0.
    """
    ends, days = torch.tensor(tuple(edges)), torch.tensor(tuple(horizons))
    whole = torch.searchsorted(ends, days, right=True)  # bins that lie within the horizon
    cover = torch.searchsorted(ends, days) + 1  # bins that hold it; more than all: says nothing
    happened = labels == (0 if passive else 1)
    waited = labels == (1 if passive else 0)
    low = torch.where(waited, whole, 0).amax(1)
    high = torch.where(happened, cover, len(ends) + 1).amin(1)
    return low, torch.maximum(high, low + 1)


class ValueHead(_Head):
    """A zero-inflated log-normal of the value in the value horizon, Wang et al. 2019.

    scale    money that is one unit of the fit, such as the mean value of the rows fitted on
    """

    def __init__(self, width: int, scale: float) -> None:
        if not scale > 0:
            raise ValueError(f"scale {scale}: give money above 0")
        super().__init__(width, 3)
        self.scale = scale

    def forward(self, state: Tensor) -> Tensor:
        """Shape (n, 3); see `losses.ziln_loss`."""
        return self._outputs(state)

    def loss(self, parts: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and the number of known values. `value`: money, shape (n,), NaN if unknown."""
        known = ~value.isnan()
        each = losses.ziln_loss(parts, torch.where(known, value, 0.0) / self.scale)
        return torch.where(known, each, 0.0).sum(), known.sum()

    def mean(self, parts: Tensor) -> Tensor:
        """Expected value, shape (n,), money."""
        return self.scale * losses.ziln_mean(parts)

    def quantiles(self, parts: Tensor, levels: Sequence[float]) -> Tensor:
        """Shape (n, len(levels)), money; the median is the level 0.5."""
        return self.scale * losses.ziln_quantiles(parts, parts.new_tensor(tuple(levels)))


class MeanHead(_Head):
    """The log of the expected value in the value horizon, fitted by Tweedie's deviance: where the
    mean alone is asked for it ranks better than that of a zero-inflated log-normal, whose tail
    decides its mean.

    scale    as of ValueHead
    """

    def __init__(self, width: int, scale: float) -> None:
        if not scale > 0:
            raise ValueError(f"scale {scale}: give money above 0")
        super().__init__(width, 1)
        self.scale = scale

    def forward(self, state: Tensor) -> Tensor:
        """Log of the expected value over the scale, shape (n,)."""
        return self._outputs(state).squeeze(1)

    def loss(self, log_mean: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and the number of known values. `value`: money, shape (n,), NaN if unknown."""
        known = ~value.isnan()
        each = losses.tweedie_loss(log_mean, torch.where(known, value, 0.0) / self.scale)
        return torch.where(known, each, 0.0).sum(), known.sum()


class NextHead(_Head):
    """The kind of the next event and the time to it: a softmax and a log-normal mixture."""

    def __init__(self, width: int, kinds: int, parts: int = 8) -> None:
        super().__init__(width, kinds + 3 * parts)
        self.kinds, self.parts = kinds, parts
        with torch.no_grad():  # the parts start apart, from seconds to a year
            means = self.out.bias[kinds + parts : kinds + 2 * parts]
            means.copy_(torch.linspace(1.0, 17.0, parts))

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes (n, kinds) and (n, 3, parts); see `losses.gap_loss`."""
        found = self._outputs(state)
        return found[:, : self.kinds], found[:, self.kinds :].reshape(-1, 3, self.parts)

    def loss(self, states: Tensor, events: Ragged) -> dict[str, tuple[Tensor, Tensor]]:
        """Sums and counts of `next_kind` and `next_gap`, over every event that has a next one
        within its sequence; the state there knows nothing of it."""
        places = events.places[1:].nonzero().squeeze(1)  # the events that a next one follows
        logits, mixture = self(states.index_select(0, places))
        kind, gap = (events.values[name].index_select(0, places + 1) for name in ("kind", "gap"))
        count = torch.tensor(len(places), device=states.device)
        return {
            "next_kind": (losses.kind_loss(logits, kind).sum(), count),
            "next_gap": (losses.gap_loss(mixture, gap).sum(), count),
        }


class Network(nn.Module):
    """An encoder and its heads.

    encoder     of `width` d: states after each event, shape (n_events, d), from Ragged
    settings    by head ("churn", "value", "mean", "next"), the arguments after the width that make
                it, as JSON holds them; a head that is left out is None. With "readout" the first
                three read what it makes of the last state, not the state itself
    """

    def __init__(self, encoder: nn.Module, settings: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = int(encoder.width)  # type: ignore[arg-type]
        self.settings = {name: dict(how) for name, how in settings.items()}
        self.readout = self._made(Readout, "readout", self.width)
        self.read_width = self.readout.width if self.readout else self.width
        self.churn = self._made(ChurnHead, "churn", self.read_width)
        self.value = self._made(ValueHead, "value", self.read_width)
        self.mean = self._made(MeanHead, "mean", self.read_width)
        self.next = self._made(NextHead, "next", self.width)

    def _made(self, head: Callable[..., Head], name: str, width: int) -> Head | None:
        return head(width, **self.settings[name]) if name in self.settings else None

    def read(self, states: Tensor, events: Ragged) -> Tensor:
        """What the heads of churn and value are given of the encoder's states, shape
        (n_sequences, d), float32."""
        state = last(states, events).float()
        return self.readout(state, events) if self.readout else state

    def summary(self, events: Ragged) -> Tensor:
        """`read` of the encoder's own states."""
        return self.read(self.encoder(events), events)
