"""A sequence model as two columns beside the features: what it says of churn and of value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from features.sequence_files import Sequences
from features.sequence_now import LISTS, NAMES
from runtime.errors import ModelError
from training.column import SEQUENCE_CHURN, SEQUENCE_VALUE
from training.encoders import Encoder, encoder
from training.metrics import Floats
from training.ragged import Ragged, gather
from training.sequence_batches import Batches
from training.sequence_inputs import Inputs
from training.sequence_losses import log_waiting
from training.sequence_model import SequenceModel
from training.sequence_rows import KEY, Located, locate

LARGEST = 30.0  # of log-odds and of logs of value, either way
MOST_EVENTS, MOST_SEQUENCES = 200_000, 8_192  # in memory at a time
NEAR_NOTHING = 1e-14  # the chance of an event, so that its log-odds are within LARGEST
PLACE = "place"


@dataclass(frozen=True)
class SequenceColumns:
    """`models`: of several seeds, what they say is averaged; the scale of their value is the mean
    of the rows fitted on, and their encoders' settings say what else they were fitted with."""

    models: tuple[SequenceModel, ...]

    @property
    def _about(self) -> Mapping[str, Any]:
        return self.models[0].encoder

    @property
    def length(self) -> int:
        """The most events of a sequence."""
        return int(self._about["length"])

    @property
    def horizon_days(self) -> float:
        """That `sequence_churn` is of."""
        return float(self._about["horizon_days"])

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._about["kinds"])

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self._about["channels"])

    @property
    def has_value(self) -> bool:
        return self.models[0].network.mean is not None

    def columns(self, events: Ragged) -> pl.DataFrame:
        """Float64 columns, a row a sequence, in their order:

        sequence_churn    log-odds of the churn label at the horizon, within 30 of 0
        sequence_value    log of expected value over the mean value of the rows fitted on, within
                          30 of 0; null without a value head

        events    with `age`, seconds from each event to the cutoff
        """
        found = [self._said(part) for part in _parts(events)]
        return self._frame(np.concatenate([np.empty((0, 2)), *found]))

    def of_rows(self, sequences: Sequences, rows: pl.DataFrame) -> pl.DataFrame:
        """`columns` of each row's user at its cutoff, in the order of the rows; a user without a
        sequence has those of an empty one.

        rows    cutoff, user_id

        Raises ModelError where the sequences lack a cutoff, or name or cut events differently.
        """
        self._require(sequences)
        numbered = rows.select(KEY).with_row_index(PLACE)
        located = locate(sequences, numbered)
        found = np.empty((len(rows), 2))
        for places, events in _batches(located):
            found[located.frame[PLACE].to_numpy()[places]] = self._said(events)
        return self._frame(found)

    def of_lists(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The same of a frame with the lists of `features.sequence_now`, a user a row; null is an
        empty one. Raises ModelError where a list lacks, lists of a row differ in length, or one is
        longer than the sequences fitted on."""
        events = listed(frame)
        longest = int(events.lengths.max()) if len(frame) else 0
        if longest > self.length:
            raise ModelError(
                f"lists of up to {longest} events for a model of {self.length}; take the last "
                f"{self.length}"
            )
        return self.columns(events)

    def lists_of(self, sequences: Sequences, rows: pl.DataFrame) -> pl.DataFrame:
        """What `of_lists` takes, of each row's user at its cutoff; all in memory at a time."""
        self._require(sequences)
        located = locate(sequences, rows.select(KEY).with_row_index(PLACE))
        places = located.frame[PLACE].arg_sort().to_numpy()
        batches = Batches(located.parts, located.slices, MOST_EVENTS, 0)
        _, events = batches.gather(places.astype(np.int64))
        bounds = events.offsets.tolist()
        return pl.DataFrame(
            {
                name: [events.values[short][a:b].tolist() for a, b in pairwise(bounds)]
                for name, short in zip(LISTS, NAMES, strict=True)
            }
        )

    def save(self, folder: Path) -> Path:
        """JSON and plain arrays, a folder a model; see `SequenceModel.save`."""
        for number, model in enumerate(self.models):
            model.save(folder / str(number))
        return folder

    @classmethod
    def load(cls, folder: Path) -> SequenceColumns:
        """On the CPU. Raises ModelError where a file is missing, or not as it was written."""
        first = SequenceModel.load(folder / "0", build)
        others = range(1, first.encoder["bags"])
        return cls((first, *(SequenceModel.load(folder / str(k), build) for k in others)))

    def _said(self, events: Ragged) -> Floats:
        """Both columns, shape (n_sequences, 2): means of the models' own."""
        return np.asarray(np.mean([_said_by(model, events) for model in self.models], axis=0))

    def _frame(self, found: Floats) -> pl.DataFrame:
        value = found[:, 1] if self.has_value else [None] * len(found)
        return pl.DataFrame(
            {SEQUENCE_CHURN: found[:, 0], SEQUENCE_VALUE: pl.Series(value, dtype=pl.Float64)}
        )

    def _require(self, sequences: Sequences) -> None:
        mine = {"length": self.length, "kinds": self.kinds, "channels": self.channels}
        for what, held in mine.items():
            if (found := getattr(sequences, what)) != held:
                raise ModelError(
                    f"{sequences.path}: sequences with {what} {found}, the model was fitted with "
                    f"{held}; make them with the feature spec and the length of the model"
                )


@torch.inference_mode()
def _said_by(model: SequenceModel, events: Ragged) -> Floats:
    network = model.network.eval()
    device = next(network.parameters()).device
    values = {name: held.to(device) for name, held in events.values.items()}
    read = network.summary(Ragged(values, events.offsets.to(device)))
    churn, mean = network.churn, network.mean
    if churn is None:
        raise ModelError("a sequence model without a churn head; train again")
    horizon = churn.edges.new_tensor([model.encoder["horizon_days"]])
    waits = log_waiting(churn(read).double(), churn.edges, horizon)[:, 0]
    waits = waits.clamp(-LARGEST, -NEAR_NOTHING)
    silent = waits - torch.log(-torch.expm1(waits))
    said = [silent if churn.passive else -silent]
    said.append(mean(read).double() if mean else torch.zeros_like(silent))
    found: Floats = torch.stack(said, 1).clamp(-LARGEST, LARGEST).cpu().numpy()
    return found


def build(settings: Mapping[str, Any]) -> Encoder:
    """An encoder from what `SequenceModel.encoder` holds."""
    inputs = Inputs(len(settings["kinds"]), len(settings["channels"]))
    return encoder(settings["name"], inputs, settings["width"])


def listed(frame: pl.DataFrame) -> Ragged:
    """The lists of `features.sequence_now` end to end, none copied but where Arrow has to."""
    if missing := [name for name in LISTS if name not in frame.columns]:
        raise ModelError(f"the frame lacks {', '.join(missing)}; add features.sequence_now's lists")
    lengths = {name: _lengths(frame[name]) for name in LISTS}
    first = lengths[LISTS[0]]
    if any(not torch.equal(first, other) for other in lengths.values()):
        raise ModelError("lists of one row differ in length; take them from one bucket_sequences")
    values = {short: _flat(frame[name]) for name, short in zip(LISTS, NAMES, strict=True)}
    return Ragged(values, torch.cat((first.new_zeros(1), first.cumsum(0))))


def _lengths(lists: pl.Series) -> Tensor:
    return torch.tensor(lists.list.len().fill_null(0).cast(pl.Int64).to_numpy())


def _flat(lists: pl.Series) -> Tensor:
    """The values of all lists, as Arrow holds them end to end; a list that is null has none. What
    lacks is NaN: a way through pandas makes it null."""
    values = pl.Series(lists.to_arrow().flatten())
    if values.dtype.is_float() or values.dtype == pl.Null:
        values = values.cast(pl.Float32).fill_null(float("nan"))
    return torch.tensor(values.to_numpy())


def _parts(events: Ragged) -> Iterator[Ragged]:
    """The sequences in runs, each held apart in memory while it is read."""
    for run in _runs(events.lengths):
        bounds = events.offsets[run[0] : run[1] + 1]
        yield gather(events.values, bounds[:-1], bounds[1:])


def _batches(located: Located) -> Iterator[tuple[Any, Ragged]]:
    """Places of the rows, and their sequences."""
    if located.frame.is_empty():
        return
    batches = Batches(located.parts, located.slices, MOST_EVENTS, 0, sequences=MOST_SEQUENCES)
    for batch in batches.in_order():
        yield batch.rows.numpy(), batch.events


def _runs(lengths: Tensor) -> Sequence[tuple[int, int]]:
    ends = lengths.cumsum(0).numpy()
    found, start = [], 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + MOST_EVENTS, side="right")), start + 1)
        stop = min(stop, start + MOST_SEQUENCES)
        found.append((start, stop))
        start = stop
    return found
