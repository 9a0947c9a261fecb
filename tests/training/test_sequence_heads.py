"""The heads: what labels tell of a bin, curves that only rise, values whose parts agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sequence_toys import EDGES, HEADS, KINDS, TinyEncoder, tiny_network, toys

from training.encoders import last
from training.ragged import Ragged
from training.sequence_fit import FineTuning, OutcomeWeights
from training.sequence_heads import (
    ChurnHead,
    MeanHead,
    NextHead,
    ValueHead,
    known_bins,
)
from training.sequence_loop import train
from training.sequence_losses import gap_loss, hazard_loss, kind_loss
from training.sequence_task import LoopSettings

NAN = float("nan")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_pinned_bins_of_labels() -> None:
    """Horizons of 7, 14 and 28 days. Passive: 1 is silence so far, 0 that the user came back."""
    labels = torch.tensor(
        [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, NAN], [1, NAN, NAN], [NAN, NAN, 0], [NAN] * 3]
    )
    low, high = known_bins(labels, EDGES, EDGES, passive=True)
    assert low.tolist() == [3, 1, 0, 2, 1, 0, 0]
    assert high.tolist() == [4, 2, 1, 4, 4, 3, 4]
    low, high = known_bins(1 - labels, EDGES, EDGES, passive=False)
    assert low.tolist() == [3, 1, 0, 2, 1, 0, 0]
    assert high.tolist() == [4, 2, 1, 4, 4, 3, 4]


def test_horizons_between_the_edges_say_no_more_than_they_know() -> None:
    labels = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [NAN, 0.0]])
    low, high = known_bins(labels, (10.0, 90.0), EDGES, passive=True)
    assert low.tolist() == [3, 0, 1, 0]
    assert high.tolist() == [4, 2, 4, 4]


def bins_of_days(
    event_day: torch.Tensor, seen_days: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `known_bins`, where the day of the event is known: NaN where none was seen."""
    ends = torch.tensor(EDGES, dtype=torch.float64)
    seen = torch.searchsorted(ends, seen_days.double(), right=True)
    at = torch.searchsorted(ends, event_day.double().nan_to_num(torch.inf), right=True)
    happened = (event_day < seen_days) & (at < len(ends))
    low = torch.where(event_day < seen_days, at, seen)
    return low, torch.where(happened, at + 1, len(ends) + 1)


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    event=st.one_of(st.just(NAN), st.floats(0, 40, width=32), st.sampled_from(EDGES)),
    seen=st.one_of(st.floats(0, 40, width=32), st.sampled_from(EDGES)),
)
def test_labels_and_days_tell_the_same_story(event: float, seen: float) -> None:
    """A day says which bin; the labels of the horizons within what was seen say no other."""
    low, high = (x.item() for x in bins_of_days(torch.tensor([event]), torch.tensor([seen])))
    happened = event < seen
    if happened and event < EDGES[-1]:
        begin, end = (0.0, *EDGES)[low], EDGES[low]
        assert high == low + 1
        assert begin <= event < end
    else:
        assert high == len(EDGES) + 1
        assert low == sum(edge <= (EDGES[-1] if happened else seen) for edge in EDGES)
    labels = torch.tensor([[NAN if h > seen else float(not event < h) for h in EDGES]])
    wider_low, wider_high = (x.item() for x in known_bins(labels, EDGES, EDGES, passive=True))
    assert wider_low <= low < high <= wider_high


@hypothesis_settings(max_examples=50, deadline=None)
@given(days=st.lists(st.floats(0, 300), min_size=2, max_size=8), passive=st.booleans())
def test_churn_over_the_days_goes_one_way(days: list[float], passive: bool) -> None:
    head = ChurnHead(5, EDGES, passive=passive)
    state = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    found = head.churn(4 * head(state), torch.tensor(sorted(days))).diff(dim=1)
    assert ((found <= 0) if passive else (found >= 0)).all()


def test_the_fitted_curve_is_the_share_in_the_data_censored_or_not() -> None:
    """With nothing to tell users apart the curve is Kaplan and Meier's at the edges."""
    random = np.random.default_rng(2)
    event = torch.from_numpy(random.exponential(15.0, 4000))
    seen = torch.from_numpy(random.choice([7.0, 14.0, 28.0], 4000))
    low, high = bins_of_days(torch.where(event < seen, event, NAN), seen)
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = hazard_loss(logits.expand(4000, 3), low, high).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    edges = torch.tensor(EDGES)
    stays = 1.0
    for index, (begin, end) in enumerate(zip((0.0, *EDGES), EDGES, strict=False)):
        at_risk = (event >= begin) & (seen >= end)
        stays *= 1 - ((event < end) & at_risk).sum().item() / at_risk.sum().item()
        head = ChurnHead(1, EDGES, passive=True)
        fitted = head.churn(logits.detach(), edges)[0, index].item()
        assert fitted == pytest.approx(stays, abs=1e-3)


@pytest.mark.parametrize("edges", [(), (0.0, 7.0), (7.0, 7.0), (14.0, 7.0)])
def test_edges_that_do_not_rise_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give days above 0 that rise"):
        ChurnHead(4, edges, passive=True)


def test_money_comes_back_in_its_unit() -> None:
    torch.manual_seed(0)
    one, hundred = ValueHead(4, 1.0), ValueHead(4, 100.0)
    hundred.load_state_dict(one.state_dict())
    parts = one(torch.randn(6, 4))
    assert torch.allclose(hundred.mean(parts), 100 * one.mean(parts))
    levels = (0.1, 0.5, 0.9)
    assert torch.allclose(hundred.quantiles(parts, levels), 100 * one.quantiles(parts, levels))
    value = torch.tensor([0.0, 5.0, NAN, 2.0, NAN, 0.0])
    total, count = one.loss(parts, value)
    assert count.item() == 4
    known = ~value.isnan()
    assert total.item() == pytest.approx(one.loss(parts[known], value[known])[0].item())
    with pytest.raises(ValueError, match="give money above 0"):
        ValueHead(4, 0.0)


def test_the_next_event_is_told_by_the_state_before_it() -> None:
    """Equal to a loop over sequences and events; across sequences nothing is told."""
    batch = toys(12).of(torch.arange(12)).events
    head = NextHead(6, KINDS, parts=3)
    states = TinyEncoder().eval()(batch).detach()
    found = head.loss(states, batch)
    sums, count = {"next_kind": 0.0, "next_gap": 0.0}, 0
    for begin, end in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
        for place in range(begin, end - 1):
            logits, mixture = head(states[place : place + 1])
            after = slice(place + 1, place + 2)
            sums["next_kind"] += kind_loss(logits, batch.values["kind"][after]).item()
            sums["next_gap"] += gap_loss(mixture, batch.values["gap"][after]).item()
            count += 1
    for name, (total, number) in found.items():
        assert number.item() == count
        assert total.item() == pytest.approx(sums[name], rel=1e-4)


def test_the_last_state_is_the_last_events_and_nothing_of_no_event() -> None:
    states = torch.arange(10.0).reshape(5, 2) + 1
    events = Ragged({"x": states}, torch.tensor([0, 0, 2, 2, 5, 5]))
    assert last(states, events).tolist() == [[0, 0], [3, 4], [0, 0], [9, 10], [0, 0]]
    none = Ragged({"x": states[:0]}, torch.tensor([0, 0, 0]))
    assert last(states[:0], none).tolist() == [[0, 0], [0, 0]]


def test_churn_and_value_are_learnt() -> None:
    """Against the same network before: of users not fitted on, both losses fall."""
    settings = LoopSettings(steps=120, learning_rate=0.02, warmup_steps=5, validate_steps=20)
    objective = FineTuning(tiny_network(), OutcomeWeights(next=0.1))
    found = train(objective, toys(200), settings, validation=toys(200, seed=9))
    first, best = found.history[0], min(r["validation"]["loss"] for r in found.history)
    assert best < first["validation"]["loss"] - 0.02
    assert set(first["train"]) == {"loss", "churn", "value", "next_kind", "next_gap"}


def test_a_user_with_a_young_label_changes_the_fit_of_the_early_bins() -> None:
    network = tiny_network(heads={"churn": HEADS["churn"]})
    batch = toys(8).of(torch.arange(8))
    assert network.churn is not None
    young = batch.low.new_ones(8)  # silent for the first bin, nothing known after it
    total, count = network.churn.loss(
        network.churn(network.summary(batch.events)), young, young.new_full((8,), 4)
    )
    total.backward()  # type: ignore[no-untyped-call]
    gradient = network.churn.out.bias.grad
    assert count.item() == 8
    assert gradient is not None
    assert gradient[0] != 0
    assert gradient[1:].tolist() == [0, 0]


def test_the_mean_head_finds_the_mean_of_known_values() -> None:
    head = MeanHead(2, scale=10.0)
    state = torch.zeros(200, 2)
    value = torch.tensor([0.0, 40.0, -5.0, NAN] * 50)  # of those known the mean is 40 / 3
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        total, count = head.loss(head(state), value)
        (total / count).backward()
        optimizer.step()
    assert count.item() == 150
    assert 10.0 * head(state).exp()[0].item() == pytest.approx(40 / 3, rel=0.01)
    with pytest.raises(ValueError, match="give money above 0"):
        MeanHead(2, scale=0.0)
