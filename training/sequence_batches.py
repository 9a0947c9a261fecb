"""Batches of sequences in a random order that is known from (seed, epoch, step) alone.

So training can be taken up at any step: nothing has to be replayed, and what is kept is two
numbers. Nothing is copied before a batch is asked for; then its events are gathered in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.sequences import SECOND_US
from runtime.errors import ModelError
from training.ragged import Columns, Ragged, gather_parts
from training.sequence_inputs import COLUMNS

Numbers = NDArray[np.int64]
CLASSES_AN_OCTAVE = 2  # of length
TS, AGE = "ts", "age"


@dataclass(frozen=True)
class Slices:
    """Which events are sequences: row i is [begin[i], end[i]) of the arrays of parts[part[i]].

    part, begin, end    int64, shape (n_sequences,); of any cutoffs, in any order
    cutoff              likewise, microseconds since 1970: with it a batch has AGE, from the parts'
                        `ts`; None where no model asks for it
    """

    part: Numbers
    begin: Numbers
    end: Numbers
    cutoff: Numbers | None = None

    def __len__(self) -> int:
        return len(self.part)

    @property
    def lengths(self) -> Numbers:
        """Events of each, shape (n_sequences,)."""
        return self.end - self.begin

    def at(self, rows: Numbers) -> Slices:
        """The rows asked for, in their order."""
        cutoff = None if self.cutoff is None else self.cutoff[rows]
        return Slices(self.part[rows], self.begin[rows], self.end[rows], cutoff)


@dataclass(frozen=True)
class Position:
    """`step` batches of `epoch` have been seen."""

    epoch: int = 0
    step: int = 0

    def to_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "step": self.step}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Position:
        return cls(int(found["epoch"]), int(found["step"]))


@dataclass(frozen=True)
class Batch:
    """rows      int64, shape (n_sequences,): of the slices, to look up labels by; on the CPU
    events       the sequences, in the order of the rows
    position     where training stands when the batch has been seen
    """

    rows: Tensor
    events: Ragged
    position: Position


class Batches:
    """Batches of at most `events` events, or of one sequence that is longer, and of at most
    `sequences` sequences where that is given.

    parts      of each bucket the arrays by name, each of shape (n_rows,); mapped ones stay mapped
    similar    whether the sequences of a batch have about one length, so that a recurrence by step
               does with fewer steps. Batches of short ones would hold many more sequences than
               batches of long ones; bound their number as well
    device     where the events go. Parts that lie there are gathered there; those of mapped
               files are gathered on the CPU and only the batch is moved
    rank, ranks    where training runs in several processes, the process and their number: each
               takes every `ranks`-th batch, and all take as many
    Raises ModelError where there is no sequence, or fewer batches than processes.
    """

    def __init__(
        self,
        parts: Sequence[Columns],
        slices: Slices,
        events: int,
        seed: int,
        *,
        sequences: int | None = None,
        similar: bool = False,
        device: torch.device | str = "cpu",
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not len(slices):
            raise ModelError("sequences: found none to train on; widen the cutoffs or the labels")
        read = COLUMNS if slices.cutoff is None else (*COLUMNS, TS)
        self._parts = [{name: part[name] for name in read} for part in parts]
        self.slices = slices
        self._lengths = slices.lengths
        self._most = events, sequences or len(slices)
        self._seed, self._similar, self._device = seed, similar, torch.device(device)
        self._rank, self._ranks = rank, ranks

    def plan(self, epoch: int) -> list[Numbers]:
        """The rows of each batch of an epoch, in order: every row once, over all processes (but for
        fewer than `ranks` batches at the end)."""
        draw = np.random.default_rng([self._seed, epoch])
        rows = draw.permutation(len(self.slices))
        if self._similar:
            octave = np.log2(np.maximum(self._lengths[rows], 1))
            rows = rows[np.argsort((octave * CLASSES_AN_OCTAVE).astype(np.int8), kind="stable")]
        batches = _cut(rows, self._lengths[rows], *self._most)
        shuffled = [batches[k] for k in draw.permutation(len(batches))]
        if len(shuffled) < self._ranks:
            raise ModelError(
                f"sequences: {len(shuffled)} batches for {self._ranks} processes; take fewer "
                "processes or fewer events a batch"
            )
        return shuffled[self._rank : len(shuffled) // self._ranks * self._ranks : self._ranks]

    def epoch(self, epoch: int, step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `step` on."""
        plan = self.plan(epoch)
        for number in range(step, len(plan)):
            after = number + 1
            position = Position(epoch, after) if after < len(plan) else Position(epoch + 1, 0)
            yield Batch(*self.gather(plan[number]), position)

    def run(self, start: Position = Position()) -> Iterator[Batch]:
        """Batches without end from a position on."""
        yield from self.epoch(start.epoch, start.step)
        for epoch in count(start.epoch + 1):
            yield from self.epoch(epoch)

    def gather(self, rows: Numbers) -> tuple[Tensor, Ragged]:
        """The rows as a tensor, and their sequences."""
        mine = self.slices.at(rows)
        part, begin, end = (torch.from_numpy(x) for x in (mine.part, mine.begin, mine.end))
        found = gather_parts(self._parts, part, begin, end)
        if mine.cutoff is not None:
            found = aged(found, torch.from_numpy(mine.cutoff))
        return torch.from_numpy(rows), _moved(found, self._device)

    def in_order(self) -> Iterator[Batch]:
        """Every sequence once, the shortest first: to score. Look up by `rows` which is which."""
        rows = np.argsort(self._lengths, kind="stable")
        for batch in _cut(rows, self._lengths[rows], *self._most):
            yield Batch(*self.gather(batch), Position())


def aged(events: Ragged, cutoff: Tensor) -> Ragged:
    """The same with AGE, seconds from each event to its sequence's cutoff, instead of `ts`.

    cutoff    Int64, shape (n_sequences,), microseconds since 1970
    """
    values = dict(events.values)
    ts = values.pop(TS)
    owners = events.owners
    since = (cutoff.to(ts.device)[owners] - ts).double() / SECOND_US
    return Ragged(values | {AGE: since.float()}, events.offsets)


def _moved(events: Ragged, device: torch.device) -> Ragged:
    values = {name: held.to(device) for name, held in events.values.items()}
    return Ragged(values, events.offsets.to(device))


def _cut(rows: Numbers, lengths: Numbers, events: int, sequences: int) -> list[Numbers]:
    """Runs of rows, each of at most so many events and rows, or of one row."""
    ends = np.cumsum(lengths)
    found, start = [], 0
    while start < len(rows):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + events, side="right")), start + 1)
        stop = min(stop, start + sequences)
        found.append(rows[start:stop])
        start = stop
    return found
