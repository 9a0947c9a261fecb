"""Ragged batches of sequences: gathered, padded and packed on the arrays' device, no row at a time.

A batch is one flat run of values with the offsets of its sequences in it. Made by a handful of
tensor operations over all of it at once, so a batch costs what its events cost, on any device,
and holds no padding unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

Columns = Mapping[str, Tensor]


@dataclass(frozen=True)
class Ragged:
    """Sequences laid end to end.

    values     by name, each of shape (n_events, ...)
    offsets    Int64, shape (n_sequences + 1,): sequence i is [offsets[i], offsets[i + 1]) of them
    """

    values: Columns
    offsets: Tensor

    @property
    def lengths(self) -> Tensor:
        """Shape (n_sequences,)."""
        return self.offsets.diff()

    @property
    def owners(self) -> Tensor:
        """Which sequence each event belongs to, shape (n_events,)."""
        each = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        return each.repeat_interleave(self.lengths, output_size=self._n_events)

    @property
    def places(self) -> Tensor:
        """The place of each event within its sequence, from 0, shape (n_events,)."""
        each = torch.arange(self._n_events, device=self.offsets.device)
        return each - self.offsets[:-1].repeat_interleave(self.lengths, output_size=self._n_events)

    @property
    def _n_events(self) -> int:
        return len(next(iter(self.values.values())))

    def padded(self, fill: float = 0) -> tuple[dict[str, Tensor], Tensor]:
        """By name, each of shape (n_sequences, longest, ...), first event first; and a mask of
        shape (n_sequences, longest), true where an event is."""
        lengths = self.lengths
        longest = int(lengths.max()) if len(lengths) else 0
        cells = self.owners * longest + self.places
        found = {}
        for name, values in self.values.items():
            flat = values.new_full((len(lengths) * longest, *values.shape[1:]), fill)
            flat.index_copy_(0, cells, values)
            found[name] = flat.view(len(lengths), longest, *values.shape[1:])
        mask = torch.arange(longest, device=lengths.device) < lengths.unsqueeze(1)
        return found, mask

    def packed(self, name: str) -> PackedSequence:
        """One array as PyTorch's recurrences take it: by place, the longest sequences first.

        Raises ValueError where a sequence is empty: there is no step a recurrence could take.
        """
        lengths = self.lengths
        if not len(lengths) or int(lengths.min()) == 0:
            raise ValueError(
                f"packed '{name}': {int((lengths == 0).sum()):,} of {len(lengths):,} sequences are "
                "empty; leave them out of the batch"
            )
        order = lengths.argsort(descending=True, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        sizes = self.places.bincount()
        starts = sizes.cumsum(0) - sizes
        values = self.values[name]
        steps = starts.index_select(0, self.places) + rank.index_select(0, self.owners)
        data = torch.empty_like(values).index_copy_(0, steps, values)
        return PackedSequence(data, sizes.cpu(), order, rank)


def tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """The arrays where they lie, none copied: of mapped sequences, still mapped."""
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def gather(arrays: Columns, begin: Tensor, end: Tensor) -> Ragged:
    """The slices [begin, end) of the arrays, in their order.

    arrays        by name, each of shape (n_rows, ...), all on one device
    begin, end    Int64, shape (n_sequences,), on any device; on the CPU, where the index lies,
                  the batch is laid out without waiting for the device
    """
    device = next(iter(arrays.values())).device
    lengths = end - begin
    offsets = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    total = int(offsets[-1])
    begin, lengths, offsets = (part.to(device) for part in (begin, lengths, offsets))
    shift = (begin - offsets[:-1]).repeat_interleave(lengths, output_size=total)
    rows = shift.add_(torch.arange(total, device=device))
    values = {name: array.index_select(0, rows) for name, array in arrays.items()}
    return Ragged(values, offsets)


def gather_parts(parts: Sequence[Columns], part: Tensor, begin: Tensor, end: Tensor) -> Ragged:
    """The same of slices that lie in several buckets, in the order given.

    part    Int64, shape (n_sequences,): in which of the parts each slice lies
    """
    order = part.argsort(stable=True)
    bounds = [0, *part.bincount(minlength=len(parts)).cumsum(0).tolist()]
    found = [
        gather(parts[k], begin[mine], end[mine])
        for k in range(len(parts))
        if len(mine := order[bounds[k] : bounds[k + 1]])
    ]
    if not found:
        return gather(parts[0], begin, end)
    values = {name: torch.cat([r.values[name] for r in found]) for name in parts[0]}
    lengths = torch.cat([r.lengths for r in found])
    offsets = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    back = order.argsort().to(offsets.device)
    return gather(values, offsets[:-1][back], offsets[1:][back])
