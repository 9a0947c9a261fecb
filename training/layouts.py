"""In which order a recurrence takes the events of a batch: by step on a CPU, as they lie on a GPU.

A recurrence over many sequences is a chain of steps. On a CPU the cheapest chain is the plain one:
all first events, then all second ones, each step an operation over the sequences still going, so
nothing is padded and nothing computed twice. On a GPU each step is a launch that does little, and
a scan by doubling, log2(longest) launches over all events, is shorter; it wants the events of a
sequence side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from training.ragged import Columns, Ragged
from training.scans import scan_by_step, scan_in_place


@dataclass(frozen=True)
class ByStep:
    """All first events, then all second ones, and so on; within a step the longest sequence first.

    rows     Int64, shape (n_events,): the place in the batch of each event of this order
    back     Int64, shape (n_events,): the place in this order of each event of the batch
    sizes    events of each step, at least one, falling
    """

    rows: Tensor
    back: Tensor
    sizes: tuple[int, ...]

    def take(self, columns: Columns) -> Columns:
        """Columns of the batch in this order."""
        return {name: values.index_select(0, self.rows) for name, values in columns.items()}

    def restore(self, states: Tensor) -> Tensor:
        """States of this order in the batch's, shape (n_events, ...)."""
        found: Tensor = _Reorder.apply(states, self.back, self.rows)  # type: ignore[no-untyped-call]
        return found

    def before(self, values: Tensor) -> Tensor:
        """The values of the event before each, of its own sequence; zeros for the first."""
        found: Tensor = _Before.apply(values, self._before, self.sizes[0])  # type: ignore[no-untyped-call]
        return found

    def scan(self, logits: Tensor, candidates: Tensor) -> Tensor:
        """`scans.scan_by_step`."""
        return scan_by_step(logits, candidates, self.sizes)

    @cached_property
    def _before(self) -> Tensor:
        """Where the event before lies, of every event from the second step on."""
        sizes = torch.tensor(self.sizes, device=self.rows.device)
        each = torch.arange(self.sizes[0], len(self.rows), device=self.rows.device)
        return each - sizes[:-1].repeat_interleave(sizes[1:], output_size=len(each))


@dataclass(frozen=True)
class InPlace:
    """The batch's own order, sequence by sequence, with what `ByStep` offers.

    places    Int64, shape (n_events,): of each event within its sequence, from 0
    """

    places: Tensor

    def take(self, columns: Columns) -> Columns:
        return columns

    def restore(self, states: Tensor) -> Tensor:
        return states

    def before(self, values: Tensor) -> Tensor:
        shifted = torch.cat((values[:1], values[:-1]))
        return shifted.masked_fill((self.places == 0).unsqueeze(1), 0.0)

    def scan(self, logits: Tensor, candidates: Tensor) -> Tensor:
        return scan_in_place(logits, candidates, self.places)


def quickest(events: Ragged) -> ByStep | InPlace:
    """The order in which a linear recurrence is quickest where the batch lies."""
    return by_step(events) if events.offsets.device.type == "cpu" else InPlace(events.places)


def by_step(events: Ragged) -> ByStep:
    """The order of the events of a batch; empty sequences have no part in it."""
    lengths, places = events.lengths, events.places
    order = lengths.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    sizes = places.bincount()
    starts = sizes.cumsum(0) - sizes
    back = starts.index_select(0, places).add_(rank.repeat_interleave(lengths))
    rows = torch.empty_like(back)
    rows[back] = torch.arange(len(back), device=back.device)
    return ByStep(rows, back, tuple(sizes.tolist()))


class _Reorder(torch.autograd.Function):
    """Rows in another order. The gradient is a gather as well; that of `index_select`, which must
    add where a row is taken twice, takes ten times as long."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, to: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return values.index_select(0, to)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradient.index_select(0, back), None, None


class _Before(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor, first: int) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.first = first
        return torch.cat((values.new_zeros(first, values.shape[1]), values.index_select(0, rows)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        found = torch.zeros_like(gradient)
        return found.index_copy_(0, rows, gradient[ctx.first :]), None, None
