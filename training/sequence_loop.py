"""The one training loop, of pretraining and fine-tuning: resumed exactly, stopped early.

What a step does follows from the weights, the optimizer's moments, the batch and the seed alone.
The learning rate is a function of the step; the random numbers of a step are drawn from a seed
made of the training's seed, the step and the rank, so that there is no random state to lose; the
batches of an epoch come in an order that the seed and the epoch decide. So a training that was
killed goes on from its last checkpoint as if nothing had happened, on the CPU to the byte (with
the same number of threads).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from runtime.errors import HoldfastError, LabelError
from runtime.files import digest_of
from runtime.progress import progress
from training.checkpoints import load_checkpoint, save_checkpoint
from training.ranks import Ranks, joined
from training.sequence_pace import Pace
from training.sequence_step import autocast, deterministic, mixed, optimizer, weights_digest
from training.sequence_task import Batches, LoopSettings, Loss, Trained

CPU = torch.device("cpu")
CHECKPOINT = "training.pt"
Sums = dict[str, Tensor]  # by part of the loss, float64, shape (2,): its sum and its count


def train(
    objective: nn.Module,
    batches: Batches,
    settings: LoopSettings,
    *,
    validation: Batches | None = None,
    folder: Path | None = None,
    device: torch.device = CPU,
    identity: str = "",
    label: str = "training",
) -> Trained:
    """Trains the objective's parameters in place and leaves the best ones in it.

    objective     gives a Loss of a batch by its `encoder` and more; on `device`, as the batches are
    validation    a later slice of time, always its epoch 0; without it the last weights are kept
    folder        where the checkpoint lies; what is found there is taken up
    identity      a digest of the data; with the settings and the first weights, which are added,
                  it says which training a checkpoint is of

    Raises LabelError where an epoch has no batch, HoldfastError where the loss is not finite,
    ModelError where the checkpoint is not of this training.
    """
    devices = [device] if device.type == "cuda" else []
    with joined(device) as ranks, torch.random.fork_rng(devices), deterministic(device):
        loop = _Loop(objective, settings, device, ranks, folder, identity)
        loop.resume()
        if not loop.at["stopped"]:
            loop.run(batches, validation, label)
        return loop.result()


class _Loop:
    """`at`: where it stands, all of it in the checkpoint."""

    def __init__(
        self,
        objective: nn.Module,
        settings: LoopSettings,
        device: torch.device,
        ranks: Ranks,
        folder: Path | None,
        identity: str,
    ) -> None:
        self.objective, self.settings, self.device, self.ranks = objective, settings, device, ranks
        self.path = folder and folder / CHECKPOINT
        begins = weights_digest(objective)
        self.identity = digest_of([identity, asdict(settings), begins, ranks.size])
        self.optimizer = optimizer(objective, settings, device)
        self.best: dict[str, Tensor] = {}
        self.sums: Sums = {}
        self.at: dict[str, Any] = {
            "step": 0,
            "events": 0,
            "positions": [[0, 0]] * ranks.size,  # by rank, the epoch and the batches done of it
            "best_step": 0,
            "best_loss": math.inf,
            "since_best": 0,
            "stopped": "",
            "history": [],
        }

    def resume(self) -> None:
        found = self.path and load_checkpoint(self.path, self.identity, self.device)
        if found:
            self.objective.load_state_dict(found["objective"])
            self.optimizer.load_state_dict(found["optimizer"])
            self.best, self.at = found["best"], found["at"]
            self.sums = found["sums"] if self.ranks.rank == 0 else {}

    def save(self) -> None:
        """Every rank's position, and the sums of all; written by the first."""
        sums = {name: self.ranks.sum(held.clone()) for name, held in self.sums.items()}
        self.at["positions"] = self.ranks.gather(self.at["positions"][self.ranks.rank])
        if self.path is None or self.ranks.rank > 0:
            return
        held = {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "sums": sums,
            "at": self.at,
        }
        save_checkpoint(self.path, self.identity, held)

    def run(self, batches: Batches, validation: Batches | None, label: str) -> None:
        if self.settings.compile:
            cast(nn.Module, self.objective.encoder).compile(dynamic=True)
        wrapped = self.ranks.wrap(self.objective)
        left = self.settings.steps - self.at["step"]
        if self.at["step"]:
            label = f"{label} from step {self.at['step']:,}"
        shown = progress(label, left, "steps", "events")
        with shown if self.ranks.rank == 0 else nullcontext() as advance:
            pace = Pace(advance)
            for batch in self._stream(batches):
                loss = self._step(wrapped, batch)
                pace.done(loss.events, self._own_loss)
                self._after_step(validation)
                if self.at["stopped"]:
                    return

    def result(self) -> Trained:
        """The best weights, or the last where nothing was validated."""
        if self.best:
            self.objective.load_state_dict(self.best)
        at = self.at
        best_step = at["best_step"] if self.best else at["step"]
        history = tuple(at["history"])
        return Trained(at["step"], best_step, at["events"], at["stopped"], history)

    def _stream(self, batches: Batches) -> Iterator[Any]:
        """Batches without end, from where this rank stands; moves it on with each."""
        rank = self.ranks.rank
        while True:
            epoch, done = self.at["positions"][rank]
            number = done
            for number, batch in enumerate(batches.batches(epoch, done), done + 1):
                self.at["positions"][rank] = [epoch, number]
                yield batch
            if number == 0:
                raise LabelError(f"epoch {epoch}: no batch to train on; widen the slice of users")
            self.at["positions"][rank] = [epoch + 1, 0]

    def _step(self, wrapped: nn.Module, batch: Any) -> Loss:
        step = self.at["step"]
        torch.manual_seed(mixed(self.settings.seed, step, self.ranks.rank))
        self.objective.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.settings, self.device):
            loss: Loss = wrapped(batch)
        loss.mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.objective.parameters(), self.settings.clip)
        self.optimizer.step()
        _add(self.sums, loss)
        self.at["step"] = step + 1
        self.at["events"] += loss.events
        return loss

    def _after_step(self, validation: Batches | None) -> None:
        step, settings = self.at["step"], self.settings
        last = step >= settings.steps
        if step % settings.validate_steps == 0 or last:
            self._validate(validation)
        if last and not self.at["stopped"]:
            self.at["stopped"] = f"all {settings.steps:,} steps done"
        if step % settings.checkpoint_steps == 0 or self.at["stopped"]:
            self._train_means()
            self.save()

    def _validate(self, validation: Batches | None) -> None:
        at = self.at
        row = {"step": at["step"], "epoch": at["positions"][self.ranks.rank][0]}
        row |= {"rate": self.settings.rate(at["step"] - 1), "train": self._train_means()}
        self.sums = {}
        if validation is not None:
            row["validation"] = found = self._validation_means(validation)
            self._compare(found["loss"])
        at["history"].append(row)

    def _compare(self, loss: float) -> None:
        at = self.at
        at["since_best"] += 1
        if loss < at["best_loss"]:
            at |= {"best_loss": loss, "best_step": at["step"], "since_best": 0}
            state = self.objective.state_dict()
            self.best = {name: held.detach().clone() for name, held in state.items()}
        if at["since_best"] >= self.settings.patience:
            at["stopped"] = f"no better after {at['since_best']} validations"

    @torch.no_grad()
    def _validation_means(self, validation: Batches) -> dict[str, float]:
        """Of every rank's batches, always with the same random numbers."""
        torch.manual_seed(mixed(self.settings.seed, -1, self.ranks.rank))
        self.objective.eval()
        sums: Sums = {}
        for batch in validation.batches(0):
            with autocast(self.settings, self.device):
                _add(sums, self.objective(batch))
        if not sums:
            raise LabelError("no batch to validate on; widen the validation slice")
        return self._means(sums, "validation")

    def _own_loss(self) -> float:
        """This rank's mean since the last validation; the others are not waited for."""
        return math.fsum(total / max(count, 1.0) for total, count in map(_pair, self.sums.values()))

    def _train_means(self) -> dict[str, float]:
        return self._means(self.sums, "training")

    def _means(self, sums: Sums, of: str) -> dict[str, float]:
        """Raises HoldfastError where the loss is not finite."""
        pairs = {name: self.ranks.sum(held.clone()).tolist() for name, held in sums.items()}
        means = {name: total / max(count, 1.0) for name, (total, count) in pairs.items()}
        loss = math.fsum(means.values())
        if not math.isfinite(loss):
            raise HoldfastError(
                f"{of} loss at step {self.at['step']:,}: {loss}; lower the learning rate "
                f"(found {self.settings.learning_rate:g})"
            )
        return {"loss": loss, **means}


def _pair(held: Tensor) -> tuple[float, float]:
    total, count = held.tolist()
    return total, count


def _add(sums: Sums, loss: Loss) -> None:
    for name, pair in loss.parts.items():
        held = torch.stack([part.detach().double() for part in pair])
        sums[name] = sums[name] + held if name in sums else held
