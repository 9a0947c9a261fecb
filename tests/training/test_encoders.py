"""States know the past of their own sequence and nothing else, and equal the naive recurrences."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles.recurrences_naive import attention, gated_mean, gru
from sequence_events import CHANNELS, KINDS, batch
from torch import Tensor

from runtime.errors import ModelError
from training.encoders import DEFAULT, ENCODERS, GRU, Encoder, encoder, last
from training.gru_steps import gru_by_step
from training.layouts import InPlace, by_step
from training.local_attention import WINDOW, LocalAttention, elapsed
from training.memory import keep_freed_memory
from training.ragged import Ragged
from training.scans import scan_in_place
from training.sequence_inputs import Inputs

WIDTH = 8
lengths = st.lists(st.integers(0, 6), min_size=1, max_size=6).filter(sum)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str) -> Encoder:
    torch.manual_seed(0)
    inputs = Inputs(KINDS, CHANNELS)
    inputs.learn(batch([50], seed=1))
    return encoder(name, inputs, WIDTH).double()


def doubles(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def gradients(found: Tensor, of: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view_as(found)
    return list(torch.autograd.grad((found * weights).sum(), of, retain_graph=True))


def alone(events: Ragged, number: int, upto: int | None = None) -> Ragged:
    """One sequence of a batch, or its first `upto` events."""
    begin, end = events.offsets[number : number + 2].tolist()
    end = end if upto is None else begin + upto
    values = {name: held[begin:end] for name, held in events.values.items()}
    return Ragged(values, torch.tensor([0, end - begin]))


@pytest.mark.parametrize("name", ENCODERS)
@hypothesis_settings(max_examples=25, deadline=None)
@given(found=lengths, seed=st.integers(0, 99))
def test_a_state_depends_on_no_other_sequence_and_on_nothing_later(
    name: str, found: list[int], seed: int
) -> None:
    events, model = batch(found, seed), made(name)
    states = model(events)
    assert states.shape == (sum(found), WIDTH)
    for number, length in enumerate(found):
        begin = int(events.offsets[number])
        for upto in {length, (length + 1) // 2} - {0}:
            expected = model(alone(events, number, upto))
            torch.testing.assert_close(states[begin : begin + upto], expected)


@pytest.mark.parametrize("name", ENCODERS)
def test_later_events_and_neighbours_change_no_bit_of_a_state_s_gradient(name: str) -> None:
    """The gradient of a state at an event is exactly zero at all that it must not know."""
    events, model = batch([5, 2 * WINDOW + 3, 4]), made(name)
    seen = model.inputs(events).detach().requires_grad_()
    order = {tuple(row.tolist()): k for k, row in enumerate(seen.detach())}
    assert len(order) == len(seen)

    def of(columns: dict[str, Tensor]) -> Tensor:
        rows = Inputs.of(model.inputs, columns).tolist()
        return seen[[order[tuple(row)] for row in rows]]

    model.inputs.of = of  # type: ignore[method-assign, assignment]
    model.inputs.forward = lambda e: of(e.values)  # type: ignore[method-assign, assignment]
    for place, own in ((2, range(3)), (10, range(5, 11)), (5 + 2 * WINDOW, range(5, 70))):
        (gradient,) = gradients(model(events)[place], [seen])
        touched = gradient.abs().sum(1).nonzero()[:, 0].tolist()
        assert place in touched
        assert set(touched) <= set(own)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_state_knows_its_event_and_the_one_before(name: str) -> None:
    events, model = batch([12]), made(name)
    states = model(events)
    for changed in (9, 10):
        values = {n: held.clone() for n, held in events.values.items()}
        values["kind"][changed] = (values["kind"][changed] + 1) % KINDS
        other = model(Ragged(values, events.offsets))
        assert torch.equal(other[:changed], states[:changed])
        assert not torch.allclose(other[10], states[10])


@pytest.mark.parametrize("name", ENCODERS)
def test_order_is_told(name: str) -> None:
    """The same kinds the other way round, all else alike, end in another state."""
    events, model = batch([6]), made(name)
    values = {n: torch.full_like(held, 1) for n, held in events.values.items()}
    values["kind"] = torch.tensor([1, 2, 3, 1, 2, 3], dtype=torch.int16)
    there = model(Ragged(values, events.offsets))[-1]
    back = model(Ragged(values | {"kind": values["kind"].flip(0)}, events.offsets))[-1]
    assert not torch.allclose(there, back, atol=1e-3)


@pytest.mark.parametrize("name", ENCODERS)
def test_empty_sequences_and_batches(name: str) -> None:
    model = made(name)
    events = batch([0, 3, 0])
    states = model(events)
    found = last(states, events)
    assert torch.equal(found[1], states[2])
    assert torch.equal(found[[0, 2]], torch.zeros(2, WIDTH, dtype=torch.float64))
    assert torch.equal(model.summary(events), found)
    for none in ([0, 0], []):
        assert model.summary(batch(none)).shape == (len(none), WIDTH)


@hypothesis_settings(max_examples=30, deadline=None)
@given(found=lengths, seed=st.integers(0, 99))
def test_scans_and_their_gradients_are_those_of_a_loop(found: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    events = batch(found)
    given_ = [doubles(sum(found), 3), doubles(sum(found), 3)]
    order = by_step(events)
    expected = gated_mean(*given_, events.offsets.tolist())
    by_steps = order.restore(order.scan(*(x[order.rows] for x in given_)))
    in_place = InPlace(events.places).scan(*given_)
    for scanned in (by_steps, in_place):
        torch.testing.assert_close(scanned, expected)
        for mine, theirs in zip(
            gradients(scanned, given_), gradients(expected, given_), strict=True
        ):
            torch.testing.assert_close(mine, theirs)


def test_a_scan_in_place_starts_anew_where_a_gate_is_shut_or_open() -> None:
    """A gate of exactly 1 forgets as a beginning does, and must not be taken for one."""
    events = batch([3, 4])
    logits = torch.tensor([0.0, 800.0, -800.0, 1.0, 800.0, 800.0, 0.5], dtype=torch.float64)
    given_ = [logits.unsqueeze(1).requires_grad_(), doubles(7, 1)]
    expected = gated_mean(*given_, events.offsets.tolist())
    scanned = scan_in_place(*given_, events.places)
    torch.testing.assert_close(scanned, expected)
    for mine, theirs in zip(gradients(scanned, given_), gradients(expected, given_), strict=True):
        torch.testing.assert_close(mine, theirs)


@hypothesis_settings(max_examples=30, deadline=None)
@given(found=lengths, seed=st.integers(0, 99))
def test_the_event_before_is_that_of_its_own_sequence(found: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    events, values = batch(found), doubles(sum(found), 2)
    rows = [k - 1 if p else len(values) for k, p in enumerate(events.places.tolist())]
    expected = torch.cat((values, values.new_zeros(1, 2)))[rows]
    order = by_step(events)
    by_steps = order.restore(order.before(values[order.rows]))
    for shifted in (by_steps, InPlace(events.places).before(values)):
        assert torch.equal(shifted, expected)
        assert torch.equal(*gradients(shifted, [values]), *gradients(expected, [values]))


@hypothesis_settings(max_examples=30, deadline=None)
@given(found=lengths, seed=st.integers(0, 99))
def test_the_gru_is_pytorch_s_and_so_are_its_gradients(found: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    events, cell, inputs = batch(found), torch.nn.GRU(5, 4).double(), doubles(sum(found), 5)
    order = by_step(events)
    w, u, b, c = cell.all_weights[0]
    projected = torch.nn.functional.linear(inputs[order.rows], w, b)
    mine = order.restore(gru_by_step(projected, u, c, order.sizes))
    expected = gru(cell, inputs, events.offsets.tolist())
    torch.testing.assert_close(mine, expected)
    of = [inputs, *cell.parameters()]
    for ours, theirs in zip(gradients(mine, of), gradients(expected, of), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_gru_loads_the_weights_of_pytorch_s() -> None:
    model, cell = made("gru"), torch.nn.GRU(Inputs(KINDS, CHANNELS).width, WIDTH).double()
    assert isinstance(model, GRU)
    model.gru.load_state_dict(cell.state_dict())
    events = batch([4, 7])
    torch.testing.assert_close(
        model(events), gru(cell, model.inputs(events), events.offsets.tolist())
    )


@hypothesis_settings(max_examples=20, deadline=None)
@given(found=st.lists(st.integers(0, 11), min_size=1, max_size=4).filter(sum))
def test_attention_within_a_window_is_that_of_a_loop(found: list[int]) -> None:
    torch.manual_seed(0)
    events = batch(found)
    layer = LocalAttention(WIDTH, heads=2, window=4).double()
    x = doubles(sum(found), WIDTH)
    parts = layer.inner(layer.norm(x)).chunk(3, 1)
    slopes = torch.nn.functional.softplus(layer.slopes)
    heads = attention(*(part.view(-1, 2, WIDTH // 2) for part in parts), events, slopes, 4)
    after = x + layer.outer(heads.reshape(-1, WIDTH))
    torch.testing.assert_close(layer(x, events.owners, elapsed(events)), after + layer.mixer(after))


@pytest.mark.parametrize("name", ENCODERS)
def test_every_weight_is_trained(name: str) -> None:
    model, events = made(name), batch([9, 40, 3])
    model.summary(events).square().sum().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_an_unknown_encoder_is_refused_with_the_known_ones() -> None:
    assert DEFAULT in ENCODERS
    with pytest.raises(ModelError, match="no encoder 'lstm'; choose one of gru, recurrence, trans"):
        encoder("lstm", Inputs(1, 1), 4)


@pytest.mark.parametrize("name", ENCODERS)
def test_mixed_precision_stays_close(name: str) -> None:
    model, events = made(name).float(), batch([30, 200])
    expected = model(events)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(events)
    found.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def test_freed_memory_is_kept_where_the_system_can_be_told() -> None:
    """The call is glibc's; the next large tensor then lies where the last one was."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library")
    assert keep_freed_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.ones(8_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    pages = 8_000_000 * 4 / resource.getpagesize()
    assert faults < 10 * pages  # handed back each time, the system fills all 50 anew
