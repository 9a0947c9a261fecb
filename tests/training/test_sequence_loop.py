"""One loop: same seed same weights, taken up where it stopped, stopped when no better."""

from __future__ import annotations

import math
import random as python_random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sequence_toys import EventsOf, tiny_network, tiny_objective, toys
from torch import Tensor, nn

from runtime.errors import HoldfastError, LabelError, ModelError
from training import sequence_pace
from training.sequence_fit import FineTuning
from training.sequence_heads import Network
from training.sequence_loop import CHECKPOINT, train
from training.sequence_pretrain import Pretraining, PretrainSettings
from training.sequence_task import LoopSettings, Loss, Trained

SHORT = LoopSettings(steps=12, warmup_steps=3, validate_steps=4, checkpoint_steps=3)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class StoppedError(Exception): ...


@dataclass
class Stopping:
    """Batches that break off after so many, as a training that is interrupted does."""

    held: Any
    left: int

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in self.held.batches(epoch, start):
            if self.left == 0:
                raise StoppedError
            self.left -= 1
            yield batch


def weights(objective: nn.Module) -> dict[str, bytes]:
    return {name: held.numpy().tobytes() for name, held in objective.state_dict().items()}


def tuned(settings: LoopSettings = SHORT, **how: Any) -> tuple[nn.Module, Trained]:
    objective = tiny_objective()
    return objective, train(objective, toys(), settings, validation=toys(seed=9), **how)


def test_same_seed_same_weights_and_metrics_and_no_other() -> None:
    one, trained = tuned()
    torch.manual_seed(123)  # what was drawn elsewhere before does not matter
    two, again = tuned()
    assert weights(one) == weights(two)
    assert trained == again
    other, _ = tuned(replace(SHORT, seed=1))
    assert weights(one) != weights(other)


def test_training_disturbs_no_random_state_of_others() -> None:
    torch.manual_seed(7)
    python_random.seed(7)
    before, own = torch.get_rng_state(), python_random.getstate()
    tuned()
    assert torch.equal(torch.get_rng_state(), before)
    assert python_random.getstate() == own
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("stops", [(1,), (5,), (4, 3), (11,)])
def test_an_interrupted_training_goes_on_in_the_middle_of_an_epoch(
    stops: tuple[int, ...], tmp_path: Path
) -> None:
    """Four batches an epoch, a checkpoint every three steps, a validation every four."""
    expected, trained = tuned()
    for stop in stops:
        with pytest.raises(StoppedError):
            train(
                tiny_objective(),
                Stopping(toys(), stop),
                SHORT,
                validation=toys(seed=9),
                folder=tmp_path,
            )
    found, again = tuned(folder=tmp_path)
    assert weights(found) == weights(expected)
    assert again == trained
    once_more, same = tuned(folder=tmp_path)
    assert weights(once_more) == weights(expected)
    assert same == trained


def test_a_resumed_training_reads_no_batch_again(tmp_path: Path) -> None:
    asked = []

    @dataclass
    class Noted:
        stop: int

        def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
            asked.append((epoch, start))
            return Stopping(toys(), self.stop).batches(epoch, start)

    with pytest.raises(StoppedError):
        train(tiny_objective(), Noted(3), SHORT, folder=tmp_path)
    train(tiny_objective(), Noted(99), SHORT, folder=tmp_path)
    assert asked == [(0, 0), (0, 3), (1, 0), (2, 0)]


def test_pretraining_lowers_what_it_minimises() -> None:
    network = tiny_network()
    settings = replace(SHORT, steps=60, validate_steps=20, learning_rate=0.02)
    both = Pretraining(network.encoder, network.next, PretrainSettings(shortest=2))
    found = train(both, EventsOf(toys()), settings, validation=EventsOf(toys(seed=9)))
    first, last = found.history[0]["validation"], found.history[-1]["validation"]
    assert last["loss"] < first["loss"]
    assert set(last) == {"loss", "next_kind", "next_gap", "coles"}
    assert last["loss"] == pytest.approx(sum(v for k, v in last.items() if k != "loss"))


class Walk(nn.Module):
    """One weight that training draws to 3; the validation slice would have it at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Tensor) -> Loss:
        cost = (self.weight - (3.0 if self.training else 1.0)) ** 2
        return Loss({"cost": (cost * len(batch), torch.tensor(len(batch)))}, len(batch))


@dataclass
class Ones:
    count: int = 5

    def batches(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        return iter([torch.ones(2)] * (self.count - start))


WALK = LoopSettings(
    steps=400,
    learning_rate=0.02,
    weight_decay=0.0,
    warmup_steps=0,
    schedule="constant",
    validate_steps=5,
    patience=3,
    checkpoint_steps=7,
)


def walked(folder: Path | None = None, batches: Any = None) -> tuple[float, Trained]:
    objective = Walk()
    found = train(objective, batches or Ones(), WALK, validation=Ones(1), folder=folder)
    return objective.weight.item(), found


def test_early_stopping_keeps_the_best_weights() -> None:
    weight, found = walked()
    losses = {row["step"]: row["validation"]["loss"] for row in found.history}
    assert found.best_step == min(losses, key=losses.__getitem__)
    assert (weight - 1) ** 2 == pytest.approx(losses[found.best_step], abs=1e-9)
    assert found.steps == found.best_step + WALK.patience * WALK.validate_steps < WALK.steps
    assert "no better after 3 validations" in found.stopped


def test_early_stopping_survives_an_interruption(tmp_path: Path) -> None:
    """Also one between the best weights and the end, and a run after the end."""
    expected = walked()
    for stop in (expected[1].best_step + 6, 3):
        with pytest.raises(StoppedError):
            walked(tmp_path, Stopping(Ones(), stop))
    assert walked(tmp_path) == expected
    assert walked(tmp_path) == expected


def test_without_validation_the_last_weights_are_kept() -> None:
    objective = Walk()
    found = train(objective, Ones(), replace(WALK, steps=30))
    assert (found.steps, found.best_step) == (30, 30)
    assert found.stopped == "all 30 steps done"
    assert objective.weight.item() == pytest.approx(0.6, abs=0.05)
    assert found.events == 60


def test_the_learning_rate_climbs_and_falls() -> None:
    settings = LoopSettings(steps=110, learning_rate=1.0, warmup_steps=10)
    rates = [settings.rate(step) for step in range(110)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert replace(settings, schedule="constant").rate(109) == 1.0


def test_gradients_are_clipped() -> None:
    """The first gradient is -6; the optimizer sees one of length a half."""
    objective, settings = Walk(), replace(WALK, steps=1, clip=0.5)
    seen: list[Tensor] = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            assert objective.weight.grad is not None
            seen.append(objective.weight.grad.clone())
            super().step(closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watched)
        train(objective, Ones(), settings)
    assert abs(seen[0].item()) == pytest.approx(0.5, abs=1e-3)


class Broken(Walk):
    def forward(self, batch: Tensor) -> Loss:
        loss = super().forward(batch)
        total, count = loss.parts["cost"]
        return Loss({"cost": (total * math.nan, count)}, loss.events)


@pytest.mark.parametrize(
    ("objective", "batches", "error", "says"),
    [
        (Broken, Ones(), HoldfastError, "training loss at step 5: nan; lower the learning rate"),
        (Walk, Ones(0), LabelError, "epoch 0: no batch to train on"),
    ],
)
def test_what_cannot_go_on_is_named(
    objective: Callable[[], nn.Module], batches: Ones, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        train(objective(), batches, WALK)


def test_an_empty_validation_slice_is_named() -> None:
    with pytest.raises(LabelError, match="no batch to validate on"):
        train(Walk(), Ones(), WALK, validation=Ones(0))


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(Walk(), Ones(), WALK, folder=tmp_path, identity="these data")
    with pytest.raises(ModelError, match="is of another training"):
        train(Walk(), Ones(), WALK, folder=tmp_path, identity="other data")
    with pytest.raises(ModelError, match="is of another training"):
        train(Walk(), Ones(), replace(WALK, steps=401), folder=tmp_path, identity="these data")
    elsewhere = Walk()
    nn.init.constant_(elsewhere.weight, 0.5)
    with pytest.raises(ModelError, match="is of another training"):
        train(elsewhere, Ones(), WALK, folder=tmp_path, identity="these data")
    held = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(held[: len(held) // 2])
    with pytest.raises(ModelError, match="is no readable checkpoint"):
        train(Walk(), Ones(), WALK, folder=tmp_path, identity="these data")


def test_progress_tells_loss_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(sequence_pace.time, "monotonic", tick)
    train(Walk(), Ones(), replace(WALK, steps=40), label="pretraining")
    line = capsys.readouterr().err.splitlines()[0]
    pattern = (
        r"pretraining: \d+ of 40 steps, \d+ events, loss \d\.\d{4}, [\d,]+ events/s, 0:.* left"
    )
    assert __import__("re").fullmatch(pattern, line), line


def test_bfloat16_trains_and_keeps_weights_in_single_precision() -> None:
    half, found = tuned(replace(SHORT, precision="bfloat16"))
    full, _ = tuned()
    assert {held.dtype for held in half.state_dict().values()} == {torch.float32}
    assert weights(half) != weights(full)
    for name, held in half.state_dict().items():
        assert torch.allclose(held, full.state_dict()[name], atol=0.05), name
    assert math.isfinite(found.history[-1]["validation"]["loss"])


def test_only_the_heads_there_are_are_fitted() -> None:
    churn_alone = {"churn": {"edges": [7.0, 14.0, 28.0], "passive": True}}
    objective = FineTuning(tiny_network(heads=churn_alone))
    found = train(objective, toys(), SHORT)
    assert set(found.history[0]["train"]) == {"loss", "churn"}
    assert isinstance(objective.network, Network)


def test_the_encoder_is_compiled_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By PyTorch, for batches of any size; weights keep their names, so it is saved as any."""
    asked: list[tuple[Any, dict[str, Any]]] = []

    def compiled(function: Any, **how: Any) -> Any:
        asked.append((function.__self__, how))
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    plain, _ = tuned()
    assert asked == []
    objective, _ = tuned(replace(SHORT, compile=True))
    assert asked == [(objective.encoder, {"dynamic": True})]
    assert weights(objective) == weights(plain)


@pytest.mark.slow
def test_a_compiled_encoder_trains_alike() -> None:
    plain, _ = tuned(replace(SHORT, steps=4))
    compiled, _ = tuned(replace(SHORT, steps=4, compile=True))
    for name, held in compiled.state_dict().items():
        # Dropout draws other numbers where it is compiled.
        assert torch.allclose(held, plain.state_dict()[name], atol=0.02), name
