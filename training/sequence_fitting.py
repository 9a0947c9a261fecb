"""Fits a sequence model to labelled rows: pretraining, early stopping in time, then all rows.

On the CPU the weights follow from the seed, the rows and their users' events alone, to the byte
(with the same number of threads): rows are sorted by cutoff and user, and neither buckets nor the
order of the rows decide anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from features.definitions import Definitions
from features.sequence_files import Sequences
from features.time import Cutoff
from runtime.device import Device
from runtime.errors import UsageError
from runtime.files import digest_of
from runtime.progress import say
from training.memory import keep_freed_memory
from training.ranks import own_device
from training.sequence_columns import SequenceColumns, build
from training.sequence_fit import EventBatches, FineTuning, OutcomeBatches, drawn_from
from training.sequence_heads import Network
from training.sequence_loop import train
from training.sequence_model import SequenceModel
from training.sequence_pretrain import Pretraining
from training.sequence_rows import (
    Horizons,
    Located,
    everyone,
    fewer,
    held_apart,
    labelled,
    locate,
    positions,
)
from training.sequence_spec import SequenceSpec
from training.sequence_task import LoopSettings

CHECKS = 12  # validations in the longest search
LEARN_ROWS = 5_000  # from whose sequences scales are learned
WARMUP_SHARE = 0.05
SEED_STEP = 1_000_003  # between bags, so that trainings of neighbouring seeds share none
Weights = dict[str, torch.Tensor]


def fit_sequence(
    spec: SequenceSpec,
    sequences: Sequences,
    rows: pl.DataFrame,
    definitions: Definitions,
    device: Device,
    folder: Path | None = None,
) -> tuple[SequenceColumns, SequenceSpec]:
    """The fitted columns, and the spec with the steps that were found.

    rows      cutoff, user_id, churn, value and, where known, churn_<days> of shorter horizons; a
              label is null where it is unknown; where none of the whole horizon is known, the
              rate of the longest one that is goes on. No other label is read, and no event at or
              after a row's cutoff but, to pretrain on, those before the newest cutoff
    folder    where checkpoints lie, by which a training that was killed goes on

    Early stopping is by the rows at the newest cutoff, of a model of those whose labels were known
    by then; by a fold of the users where there are none such. Then all rows are fitted with as
    many steps, in proportion. Raises LabelError where no label is known, UsageError where the
    sequences are of another length than the spec's.
    """
    if sequences.length != spec.length:
        raise UsageError(
            f"sequences of {sequences.length} events for a spec of {spec.length}; make them as "
            "long as the spec says"
        )
    keep_freed_memory()
    horizons = Horizons.of(rows, definitions)
    found = fewer(labelled(locate(sequences, rows), horizons), spec.most_events, spec.seed)
    say(f"sequences: {len(found.frame):,} rows, {found.events:,} events an epoch")
    task = _Task(spec, sequences, found, horizons, definitions, device, folder)
    begin = task.pretrained()
    if spec.steps is None:
        task = replace(task, spec=replace(spec, steps=task.searched(begin)))
    columns = task.columns(begin)
    return columns, task.spec


@dataclass(frozen=True)
class _Task:
    spec: SequenceSpec
    sequences: Sequences
    rows: Located
    horizons: Horizons
    definitions: Definitions
    on: Device
    folder: Path | None

    @property
    def device(self) -> torch.device:
        return own_device(self.on.kind)

    @property
    def encoder(self) -> dict[str, Any]:
        """What `sequence_columns.build` makes the encoder from."""
        return {
            "name": self.spec.encoder,
            "width": self.spec.width,
            "length": self.sequences.length,
            "bags": self.spec.bags,
            "horizon_days": self.definitions.churn.horizon_days,
            "kinds": list(self.sequences.kinds),
            "channels": list(self.sequences.channels),
        }

    def network(self, rows: Located) -> Network:
        """Drawn from the seed, with the scales of these rows."""
        heads: dict[str, dict[str, Any]] = {
            "readout": {
                "kinds": len(self.sequences.kinds),
                "hidden": self.spec.hidden,
                "dropout": self.spec.dropout,
            },
            "churn": {"edges": list(self.horizons.days), "passive": self.horizons.passive},
            "next": {"kinds": len(self.sequences.kinds) + 1},
        }
        if (scale := _mean_value(rows)) > 0:
            heads["mean"] = {"scale": scale}
        with drawn_from(self.spec.seed):
            network = Network(build(self.encoder), heads)
        some = positions(len(rows.frame), LEARN_ROWS)
        _, events = rows.batches(self.spec, torch.device("cpu")).gather(some)
        network.encoder.inputs.learn(events)  # type: ignore[operator, union-attr]
        if network.readout:
            network.readout.learn(events)
        return network.to(self.device)

    def pretrained(self) -> Weights | None:
        """Weights of the encoder, from what everyone did before the newest cutoff."""
        if not self.spec.pretrain_epochs:
            return None
        newest = Cutoff(self.rows.frame["cutoff"].max())  # type: ignore[arg-type]
        people = everyone(self.sequences, newest).where(pl.col("begin") < pl.col("end"))
        people = fewer(people, self.spec.most_events, self.spec.seed)
        network = self.network(self.rows)
        steps = self.spec.pretrain_epochs * self._an_epoch(people)
        objective = Pretraining(network.encoder, network.next)
        train(
            objective,
            EventBatches(people.batches(self.spec, self.device)),
            self._loop(steps),
            folder=self._folder("pretraining"),
            device=self.device,
            identity=self._identity([people.key]),
            label="pretraining",
        )
        return network.encoder.state_dict()

    def searched(self, begin: Weights | None) -> int:
        """Steps for all rows: those after which a model of earlier rows was best at later ones, in
        proportion to the batches."""
        early, late = held_apart(self.rows, self.definitions, self.spec.seed)
        if early.frame.is_empty() or late.frame.is_empty():
            return self.spec.steps_of(len(self.rows.frame), self.rows.events)
        steps = self.spec.steps_of(len(early.frame), early.events)
        network = self.network(early)
        best = self._fine_tuned(network, begin, early, late, steps, "search")
        return max(round(best * self._an_epoch(self.rows) / self._an_epoch(early)), 1)

    def columns(self, begin: Weights | None) -> SequenceColumns:
        return SequenceColumns(tuple(self._bag(k, begin) for k in range(self.spec.bags)))

    def _bag(self, number: int, begin: Weights | None) -> SequenceModel:
        """Fitted to all rows, with a seed of its own. The first one's is the spec's."""
        mine = replace(self, spec=replace(self.spec, seed=self.spec.seed + SEED_STEP * number))
        network = mine.network(self.rows)
        mine._fine_tuned(network, begin, self.rows, None, self.spec.steps or 1, f"fit-{number}")
        return SequenceModel(network.cpu(), self.encoder)

    def _fine_tuned(
        self,
        network: Network,
        begin: Weights | None,
        rows: Located,
        late: Located | None,
        steps: int,
        role: str,
    ) -> int:
        """Fits in place; the step whose weights are kept."""
        if begin is not None:
            network.encoder.load_state_dict(begin)
        read = [some.digest(self.horizons) for some in (rows, late) if some]
        return train(
            FineTuning(network),
            self._outcomes(rows),
            self._loop(steps),
            validation=self._outcomes(late) if late else None,
            folder=self._folder(role),
            device=self.device,
            identity=self._identity(read),
            label=f"sequences, {role}",
        ).best_step

    def _outcomes(self, rows: Located) -> OutcomeBatches:
        return OutcomeBatches(rows.batches(self.spec, self.device), *rows.outcomes(self.horizons))

    def _loop(self, steps: int) -> LoopSettings:
        check = max(steps // CHECKS, 1)
        return LoopSettings(
            steps=steps,
            learning_rate=self.spec.learning_rate,
            weight_decay=self.spec.weight_decay,
            warmup_steps=max(round(WARMUP_SHARE * steps), 1),
            validate_steps=check,
            checkpoint_steps=check,
            patience=self.spec.patience,
            seed=self.spec.seed,
        )

    def _identity(self, rows: list[str]) -> str:
        """`rows`: digests of all that are read, those that a search stops early by too."""
        return digest_of([rows, self.sequences.manifest["digest"], asdict(self.spec)])

    def _an_epoch(self, rows: Located) -> int:
        return self.spec.steps_an_epoch(len(rows.frame), rows.events)

    def _folder(self, role: str) -> Path | None:
        return self.folder and self.folder / role


def _mean_value(rows: Located) -> float:
    """0 where no value is known."""
    found = rows.frame.select(pl.col("value").cast(pl.Float64).clip(0.0).mean()).item()
    return float(found or 0.0)
