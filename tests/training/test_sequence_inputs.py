"""Inputs are of each event alone, and standardised by what was learned from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sequence_events import CHANNELS, KINDS, batch, columns

from training.ragged import Ragged
from training.sequence_inputs import CLOCK_WIDTH, LARGEST, NUMBERS_WIDTH, Inputs

NAN = float("nan")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made() -> Inputs:
    torch.manual_seed(0)
    inputs = Inputs(KINDS, CHANNELS)
    inputs.learn(batch([200], seed=1))
    return inputs


def numbers(inputs: Inputs, **changed: float) -> list[float]:
    """Gap, amount, gap missing, amount missing, of one event."""
    values = {name: held[:1].clone() for name, held in columns(1, 0).items()}
    for name, value in changed.items():
        values[name][0] = value
    found: list[float] = inputs.of(values)[0, -NUMBERS_WIDTH:].tolist()
    return found


def test_an_event_s_vector_is_its_own() -> None:
    events, inputs = batch([5, 0, 9]), made()
    whole = inputs(events)
    assert whole.shape == (14, inputs.width)
    for k in range(14):
        one = inputs.of({name: held[k : k + 1] for name, held in events.values.items()})
        assert torch.equal(one[0], whole[k])


def test_logs_are_standardised_by_what_was_learned() -> None:
    events, inputs = batch([200], seed=1), made()
    found = inputs(events)[:, -NUMBERS_WIDTH:]
    for place, name in enumerate(("gap", "amount")):
        known = ~events.values[name].isnan()
        assert torch.equal(found[:, 2 + place], (~known).float())
        assert (found[~known, place] == 0).all()
        torch.testing.assert_close(found[known, place].mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
        spread = found[known, place].std(correction=0)
        torch.testing.assert_close(spread, torch.tensor(1.0), atol=1e-5, rtol=0)


def test_other_events_change_nothing_that_was_learned() -> None:
    inputs = made()
    before = {name: held.clone() for name, held in inputs.state_dict().items()}
    inputs(batch([50], seed=7))
    assert all(torch.equal(held, before[name]) for name, held in inputs.state_dict().items())


def test_missing_is_told_from_zero_and_from_the_mean() -> None:
    inputs = Inputs(KINDS, CHANNELS)
    assert numbers(inputs, gap=NAN, amount=NAN) == [0, 0, 1, 1]
    assert numbers(inputs, gap=0.0, amount=0.0) == [0, 0, 0, 0]
    assert numbers(inputs, gap=1.0, amount=-1.0) == pytest.approx([0.693147, -0.693147, 0, 0])


def test_what_lies_far_out_is_held() -> None:
    inputs = made()
    for amount in (3e38, -3e38):
        assert abs(numbers(inputs, amount=amount)[1]) <= LARGEST


@pytest.mark.parametrize("gap", [NAN, 60.0])
def test_nothing_to_learn_from_leaves_numbers_finite(gap: float) -> None:
    inputs = Inputs(KINDS, CHANNELS)
    values = dict(columns(4, 0)) | {"gap": torch.full((4,), gap), "amount": torch.full((4,), NAN)}
    inputs.learn(Ragged(values, torch.tensor([0, 4])))
    assert inputs.of(values).isfinite().all()


def test_the_clock_goes_round() -> None:
    """The last hour of Sunday is next to the first of Monday, and noon far from midnight."""
    clock = Inputs(1, 1).clock
    assert clock.shape == (168, CLOCK_WIDTH)
    away = (clock - clock[0]).norm(dim=1)
    assert away[1] == pytest.approx(away[167].item(), abs=1e-6)
    assert away[167] < 0.6
    assert away[12] > 2
    assert len({tuple(row) for row in clock.mul(1e4).round().tolist()}) == 168
