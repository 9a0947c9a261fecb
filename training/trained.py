"""What one training found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.auto import AutoSpec, Candidate
from training.evaluate import Evaluation
from training.kinds import Spec
from training.laws import Told, laws_of
from training.model import Model
from training.present import Carried


@dataclass(frozen=True)
class Measured:
    """One of those that "auto" tried, and what the test slice says of it, which chose nothing."""

    candidate: Candidate
    metrics: dict[str, float]

    @property
    def name(self) -> str:
        return self.candidate.mix.name

    @property
    def losses(self) -> dict[str, float]:
        """What it was chosen by."""
        found = {"validation_churn_loss": self.candidate.churn_loss}
        if self.candidate.value_loss is not None:
            found["validation_value_loss"] = self.candidate.value_loss
        return found


@dataclass(frozen=True)
class Trained:
    """What one training found out. `model` is the one to keep, `honest` the one measured."""

    model: Model
    honest: Model
    evaluation: Evaluation
    settled: Spec | AutoSpec
    fit_rows: int
    notes: tuple[str, ...]
    level: Carried  # how the measured model's calibration came to its present
    brought: Carried  # and the kept one's to now
    candidates: tuple[Measured, ...] = ()

    @property
    def laws(self) -> tuple[Told, ...]:
        """What the kept model's models of buying have learned."""
        return laws_of(self.model)

    @property
    def table(self) -> tuple[dict[str, Any], ...]:
        """A row for each of those that were tried: what it was chosen for, and its metrics."""
        spec = self.settled
        if not isinstance(spec, AutoSpec):
            return ()
        chosen = {"churn": spec.churn, "value": spec.value}
        return tuple(
            {
                "model": one.candidate.mix.name,
                "chosen_for": [k for k, v in chosen.items() if v and v.name == one.name],
                "seconds": one.candidate.seconds,
                **one.losses,
                **one.metrics,
            }
            for one in self.candidates
        )
