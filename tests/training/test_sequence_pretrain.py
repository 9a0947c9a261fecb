"""Sub-sequences are runs of one user's events; the contrast needs no label."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sequence_toys import tiny_network, toys

from training.ragged import Ragged
from training.sequence_pretrain import Pretraining, PretrainSettings, sub_sequences


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def numbered(lengths: list[int]) -> Ragged:
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return Ragged({"row": torch.arange(int(offsets[-1]))}, offsets)


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    pieces=st.integers(1, 4),
    shortest=st.integers(1, 5),
    more=st.integers(0, 5),
    seed=st.integers(0, 999),
)
def test_each_piece_is_a_run_of_its_owners_events(
    lengths: list[int], pieces: int, shortest: int, more: int, seed: int
) -> None:
    torch.manual_seed(seed)
    events = numbered(lengths)
    found, owners = sub_sequences(events, pieces, shortest, shortest + more)
    expected = [owner for owner, n in enumerate(lengths) for _ in range(pieces) if n]
    assert owners.tolist() == expected
    for piece, owner in enumerate(expected):
        begin, end = found.offsets[piece : piece + 2].tolist()
        rows = found.values["row"][begin:end].tolist()
        first, last = events.offsets[owner : owner + 2].tolist()
        assert rows == list(range(rows[0], rows[0] + len(rows)))
        assert first <= rows[0] <= rows[-1] < last
        size = lengths[owner]
        assert min(shortest, size) <= len(rows) <= min(shortest + more, size)


def test_every_length_and_place_is_drawn_alike() -> None:
    torch.manual_seed(0)
    found, _ = sub_sequences(numbered([6]), 30_000, 2, 4)
    counts = torch.stack((found.lengths, found.values["row"][found.offsets[:-1]]), 1)
    for length in (2, 3, 4):
        begins = counts[counts[:, 0] == length][:, 1]
        assert len(begins) == pytest.approx(10_000, rel=0.05)
        shares = begins.bincount() / len(begins)
        assert len(shares) == 7 - length
        assert shares.tolist() == pytest.approx([1 / (7 - length)] * (7 - length), abs=0.02)


def test_same_seed_same_pieces() -> None:
    events = numbered([9, 4, 30])
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(sub_sequences(events, 5, 2, 8)[0].values["row"].tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (PretrainSettings(), {"next_kind", "next_gap", "coles"}),
        (PretrainSettings(coles_weight=0.0), {"next_kind", "next_gap"}),
        (PretrainSettings(next_weight=0.0), {"coles"}),
    ],
)
def test_the_objectives_asked_for_and_no_other(settings: PretrainSettings, parts: set[str]) -> None:
    network = tiny_network()
    batch = toys(10).of(torch.arange(10)).events
    loss = Pretraining(network.encoder, network.next, settings)(batch)
    assert set(loss.parts) == parts
    assert loss.events == len(batch.values["kind"])
    assert loss.mean().isfinite()
    total, _ = loss.parts[min(parts)]
    torch.manual_seed(0)
    twice = Pretraining(
        network.encoder, network.next, PretrainSettings(coles_weight=2.0, next_weight=0.0)
    )
    torch.manual_seed(0)
    once = Pretraining(network.encoder, None)
    pairs = []
    for objective in (twice.eval(), once.eval()):
        torch.manual_seed(0)
        pairs.append(objective(batch).parts["coles"][0].item())
    assert pairs[0] == pytest.approx(2 * pairs[1])
    assert total.requires_grad


def test_a_batch_without_events_or_with_one_user_costs_nothing() -> None:
    network = tiny_network()
    objective = Pretraining(network.encoder, network.next).eval()
    held = toys(20)
    lengths = held.end - held.begin
    nobody = held.of((lengths == 0).nonzero().squeeze(1)).events
    assert objective(nobody).mean().item() == 0
    alone = held.of((lengths > 3).nonzero().squeeze(1)[:1]).events
    assert objective(alone).mean().isfinite()
