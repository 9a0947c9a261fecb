"""Every sequence once an epoch, in an order known from seed, epoch and step alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sequence_events import columns

from runtime.errors import ModelError
from training.sequence_batches import Batch, Batches, Position, Slices

ROWS = 40
PARTS = [columns(ROWS, seed) for seed in range(3)]
one = st.tuples(st.integers(0, 2), st.integers(0, ROWS), st.integers(0, 12))
some = st.lists(one, min_size=1, max_size=30)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def slices(found: list[tuple[int, int, int]]) -> Slices:
    table = np.array(found, np.int64)
    return Slices(table[:, 0], table[:, 1], np.minimum(table[:, 1] + table[:, 2], ROWS))


def many(count: int = 50) -> Slices:
    draw = np.random.default_rng(5)
    return slices(
        [(k % 3, int(draw.integers(30)), int(draw.integers(1, 11))) for k in range(count)]
    )


def same(a: Batch, b: Batch) -> bool:
    events = zip(a.events.values.values(), b.events.values.values(), strict=True)
    alike = all(torch.equal(x.nan_to_num(-1), y.nan_to_num(-1)) for x, y in events)
    return alike and torch.equal(a.rows, b.rows) and a.position == b.position


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    found=some,
    events=st.integers(1, 40),
    sequences=st.none() | st.integers(1, 5),
    similar=st.booleans(),
    seed=st.integers(0, 9),
)
def test_an_epoch_holds_every_sequence_once(
    found: list[tuple[int, int, int]], events: int, sequences: int | None, similar: bool, seed: int
) -> None:
    mine = slices(found)
    batches = Batches(PARTS, mine, events, seed, sequences=sequences, similar=similar)
    seen = list(batches.epoch(0))
    rows = torch.cat([batch.rows for batch in seen])
    assert sorted(rows.tolist()) == list(range(len(found)))
    for batch in seen:
        lengths = batch.events.lengths.tolist()
        assert lengths == mine.lengths[batch.rows.numpy()].tolist()
        assert sum(lengths) <= events or len(lengths) == 1
        assert len(lengths) <= (sequences or len(found))
        for number, row in enumerate(batch.rows.tolist()):
            begin, end = batch.events.offsets[number : number + 2].tolist()
            part = PARTS[mine.part[row]]["kind"]
            expected = part[mine.begin[row] : mine.end[row]]
            assert torch.equal(batch.events.values["kind"][begin:end], expected)


@pytest.mark.parametrize("similar", [False, True])
@pytest.mark.parametrize("taken", [0, 3, 17, 40])
def test_training_goes_on_where_it_stopped(taken: int, similar: bool) -> None:
    batches = Batches(PARTS, many(), 30, seed=3, similar=similar)
    undisturbed = list(islice(batches.run(), 50))
    position = undisturbed[taken - 1].position if taken else Position()
    anew = Batches(PARTS, many(), 30, seed=3, similar=similar)
    resumed = list(islice(anew.run(Position.from_dict(position.to_dict())), 50 - taken))
    assert undisturbed[-1].position.epoch > 2
    for mine, theirs in zip(resumed, undisturbed[taken:], strict=True):
        assert same(mine, theirs)


def test_epochs_and_seeds_differ() -> None:
    orders = [
        tuple(np.concatenate(Batches(PARTS, many(), 30, seed).plan(epoch)).tolist())
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert len(set(orders)) == 3


def test_similar_batches_hold_sequences_of_about_one_length() -> None:
    mine = many(500)
    spreads = [
        np.mean(
            [np.ptp(mine.lengths[rows]) for rows in Batches(PARTS, mine, 60, 0, similar=s).plan(0)]
        )
        for s in (True, False)
    ]
    assert spreads[0] < spreads[1] / 3


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_an_epoch_evenly(ranks: int) -> None:
    alone = Batches(PARTS, many(), 30, 0).plan(4)
    shares = [Batches(PARTS, many(), 30, 0, rank=r, ranks=ranks).plan(4) for r in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    taken = [tuple(rows.tolist()) for share in shares for rows in share]
    assert len(set(taken)) == len(taken) > len(alone) - ranks
    assert set(taken) <= {tuple(rows.tolist()) for rows in alone}


def test_scoring_takes_each_once_the_shortest_first() -> None:
    mine = many()
    seen = list(Batches(PARTS, mine, 30, 0).in_order())
    rows = torch.cat([batch.rows for batch in seen]).numpy()
    assert sorted(rows.tolist()) == list(range(len(mine)))
    assert (np.diff(mine.lengths[rows]) >= 0).all()


def test_nothing_to_train_on_is_refused() -> None:
    none = np.empty(0, np.int64)
    with pytest.raises(ModelError, match="found none to train on"):
        Batches(PARTS, Slices(none, none, none), 10, 0)
    with pytest.raises(ModelError, match="1 batches for 2 processes"):
        Batches(PARTS, many(3), 1000, 0, ranks=2).plan(0)


def test_the_events_go_to_the_device() -> None:
    """The meta device computes nothing; only what is moved as a whole comes to lie there."""
    (batch,) = islice(Batches(PARTS, many(), 30, 0, device="meta").run(), 1)
    held = (batch.events.offsets, *batch.events.values.values())
    assert {tensor.device.type for tensor in held} == {"meta"}
    assert batch.rows.device.type == "cpu"


def test_with_cutoffs_a_batch_says_how_old_each_event_is() -> None:
    ts = torch.tensor([0, 5, 9, 20]) * 1_000_000
    part = dict(columns(4, 0)) | {"ts": ts}
    slices = Slices(
        np.zeros(3, np.int64),
        np.array([0, 2, 1]),
        np.array([2, 4, 1]),
        np.array([10, 21, 7]) * 1_000_000,
    )
    batches = Batches([part], slices, 100, 0)
    _, events = batches.gather(np.array([1, 2, 0]))
    assert events.values["age"].tolist() == [12.0, 1.0, 10.0, 5.0]
    assert "ts" not in events.values
    assert slices.at(np.array([2])).cutoff == [7_000_000]
