"""What is the same for every fit of one training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.sequence_files import Sequences
from features.spec import FeatureSpec
from runtime.device import Device
from training.stepwise import Step


@dataclass(frozen=True)
class Task:
    """`steps`: those that the horizon is learned by, none: as one; `measured`: the one a young log
    is measured at, None: the horizon; `sequences`: of everyone at every cutoff, where a model reads
    them; `checkpoints`: where a training that takes long can be taken up."""

    kind: str
    spec: FeatureSpec
    features: tuple[str, ...]
    as_of: datetime
    seed: int
    device: Device
    steps: tuple[Step, ...] = ()
    measured: Step | None = None
    sequences: Sequences | None = None
    checkpoints: Path | None = None

    @property
    def of_ends(self) -> bool:
        """Whether the rows that churn is learned from say 1 where a silence ended: such a user does
        not churn."""
        return bool(self.steps) and self.spec.definitions.churn.kind == "passive"
