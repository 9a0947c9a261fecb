"""Batches as they are gathered, with what became of each user looked up by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from sequence_toys import toys
from torch import Tensor

from training.ragged import Ragged, gather
from training.sequence_fit import EventBatches, OutcomeBatches, drawn_from


@dataclass(frozen=True)
class Gathered:
    rows: Tensor
    events: Ragged


class Source:
    """Users in turn, three a batch, from another place in each epoch."""

    def epoch(self, epoch: int, step: int = 0) -> Iterator[Gathered]:
        held = toys(12)
        rows = torch.arange(12).roll(epoch)
        for part in list(rows.split(3))[step:]:
            yield Gathered(part, gather(held.columns, held.begin[part], held.end[part]))


def test_outcomes_are_those_of_the_rows() -> None:
    low, high, value = torch.arange(12), torch.arange(12) + 1, torch.arange(12.0) / 2
    found = list(OutcomeBatches(Source(), low, high, value).batches(1, 2))
    assert [batch.low.tolist() for batch in found] == [[5, 6, 7], [8, 9, 10]]
    assert [batch.high.tolist() for batch in found] == [[6, 7, 8], [9, 10, 11]]
    assert [batch.value.tolist() for batch in found] == [[2.5, 3.0, 3.5], [4.0, 4.5, 5.0]]
    events = [batch.lengths.tolist() for batch in EventBatches(Source()).batches(1, 2)]
    assert events == [batch.events.lengths.tolist() for batch in found]
    lengths = toys(12).end - toys(12).begin
    assert events == [lengths[5:8].tolist(), lengths[8:11].tolist()]


def test_first_weights_are_drawn_from_the_seed_and_disturb_nothing() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = []
    for seed in (1, 1, 2):
        with drawn_from(seed):
            made.append(torch.nn.Linear(3, 3).weight.tolist())
    assert made[0] == made[1] != made[2]
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), drawn_from(3):
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)
