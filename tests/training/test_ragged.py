"""Ragged batches equal a loop over the sequences, whatever their lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from training.ragged import Ragged, gather, gather_parts, tensors

ROWS = 30


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait by spinning, which on a busy machine makes small work slow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def arrays(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "kind": rng.integers(0, 9, ROWS).astype(np.int16),
        "gap": rng.normal(size=ROWS).astype(np.float32),
        "pair": rng.normal(size=(ROWS, 2)).astype(np.float32),
    }


slices = st.lists(
    st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(lambda ends: tuple(sorted(ends))),
    max_size=8,
)
full = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(1, ROWS)).map(
        lambda drawn: (drawn[0], min(drawn[0] + drawn[1], ROWS))
    ),
    min_size=1,
    max_size=8,
)


def ends_of(found: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = torch.tensor(found, dtype=torch.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def sequence(ragged: Ragged, name: str, number: int) -> list[Any]:
    begin, end = ragged.offsets[number : number + 2].tolist()
    held: list[Any] = ragged.values[name][begin:end].tolist()
    return held


@hypothesis_settings(max_examples=100, deadline=None)
@given(found=slices)
def test_a_gathered_batch_holds_the_slices_in_their_order(found: list[tuple[int, int]]) -> None:
    held = arrays()
    ragged = gather(tensors(held), *ends_of(found))
    assert len(ragged.offsets) == len(found) + 1
    assert ragged.lengths.tolist() == [end - begin for begin, end in found]
    for name, values in held.items():
        assert ragged.values[name].dtype == torch.from_numpy(values).dtype
        assert len(ragged.values[name]) == sum(end - begin for begin, end in found)
        for number, (begin, end) in enumerate(found):
            assert sequence(ragged, name, number) == values[begin:end].tolist()


@hypothesis_settings(max_examples=100, deadline=None)
@given(found=slices)
def test_a_padded_batch_starts_each_row_with_its_sequence(found: list[tuple[int, int]]) -> None:
    held = arrays()
    padded, mask = gather(tensors(held), *ends_of(found)).padded(fill=-1)
    longest = max((end - begin for begin, end in found), default=0)
    assert mask.shape == (len(found), longest)
    for name, values in held.items():
        assert padded[name].shape == (len(found), longest, *values.shape[1:])
        for number, (begin, end) in enumerate(found):
            assert padded[name][number, : end - begin].tolist() == values[begin:end].tolist()
            assert (padded[name][number, end - begin :] == -1).all()
            assert mask[number].tolist() == [k < end - begin for k in range(longest)]


@hypothesis_settings(max_examples=100, deadline=None)
@given(found=full)
def test_a_packed_batch_is_the_one_that_pytorch_packs(found: list[tuple[int, int]]) -> None:
    held = arrays()
    ragged = gather(tensors(held), *ends_of(found))
    for name, values in held.items():
        expected = torch.nn.utils.rnn.pack_sequence(
            [torch.from_numpy(values[begin:end]) for begin, end in found], enforce_sorted=False
        )
        packed = ragged.packed(name)
        unpacked, expected_unpacked = (
            torch.nn.utils.rnn.pad_packed_sequence(p, batch_first=True) for p in (packed, expected)
        )
        assert torch.equal(packed.batch_sizes, expected.batch_sizes)
        assert torch.equal(unpacked[0], expected_unpacked[0])
        assert torch.equal(unpacked[1], expected_unpacked[1])


def test_a_recurrence_takes_a_packed_batch() -> None:
    held = arrays()
    found = [(0, 3), (5, 6), (10, 25)]
    ragged = gather(tensors(held), *ends_of(found))
    torch.manual_seed(0)
    gru = torch.nn.GRU(2, 4)
    _, last = gru(ragged.packed("pair"))
    for number, (begin, end) in enumerate(found):
        _, alone = gru(torch.from_numpy(held["pair"][begin:end]).unsqueeze(1))
        assert torch.allclose(last[0, number], alone[0, 0], atol=1e-6)


@pytest.mark.parametrize("found", [[], [(3, 3)], [(0, 2), (3, 3)]])
def test_an_empty_sequence_cannot_be_packed(found: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="sequences are empty"):
        gather(tensors(arrays()), *ends_of(found)).packed("gap")


@hypothesis_settings(max_examples=100, deadline=None)
@given(found=st.lists(st.tuples(st.integers(0, 2), slices.filter(len).map(lambda s: s[0]))))
def test_slices_of_several_buckets_come_in_the_order_asked_for(
    found: list[tuple[int, tuple[int, int]]],
) -> None:
    parts = [arrays(seed) for seed in range(3)]
    part = torch.tensor([which for which, _ in found], dtype=torch.int64)
    ragged = gather_parts([tensors(p) for p in parts], part, *ends_of([s for _, s in found]))
    assert len(ragged.lengths) == len(found)
    for name in parts[0]:
        for number, (which, (begin, end)) in enumerate(found):
            assert sequence(ragged, name, number) == parts[which][name][begin:end].tolist()


def test_tensors_lie_where_the_arrays_do() -> None:
    held = arrays()
    for name, tensor in tensors(held).items():
        assert tensor.data_ptr() == held[name].ctypes.data


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_batch_is_on_the_device_of_the_arrays(device: str) -> None:
    """The meta device computes nothing and refuses to mix: no step falls back to the CPU."""
    moved = {name: tensor.to(device) for name, tensor in tensors(arrays()).items()}
    ragged = gather(moved, *ends_of([(0, 3), (5, 6)]))
    assert {v.device.type for v in (*ragged.values.values(), ragged.offsets)} == {device}
    assert [v.shape[0] for v in ragged.values.values()] == [4, 4, 4]
    assert ragged.owners.device.type == ragged.places.device.type == device
