"""The sequences that a model reads, beside snapshots: for a training, a judgement, an example."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from events.store import EventStore
from features.sequence_build import build_sequences
from features.sequence_files import Sequences, open_sequences
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings
from training.model import Model


def sequences_at(
    settings: Settings,
    store: EventStore,
    cutoffs: Sequence[Cutoff],
    spec: FeatureSpec,
    length: int,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> Sequences:
    """Built, or found where they were built before."""
    made = build_sequences(settings, store, cutoffs, spec, device, length, cluster)
    return open_sequences(made.path)


def beside(
    frame: pl.DataFrame, model: Model, settings: Settings, store: EventStore, device: Device
) -> pl.DataFrame:
    """A frame of snapshots with what the model's sequence model says of each row; as it is where
    the model has none."""
    if model.sequence is None:
        return frame
    cutoffs = [Cutoff(at) for at in frame["cutoff"].unique().sort()]
    length = model.sequence.length
    sequences = sequences_at(settings, store, cutoffs, model.spec, length, device)
    return frame.hstack(model.sequence.of_rows(sequences, frame))


def example_of(frame: pl.DataFrame, model: Model, sequences: Sequences | None) -> pl.DataFrame:
    """What `model.predict` takes of these rows: the features, and the lists of the sequences."""
    features = frame.select(model.features)
    if model.sequence is None or sequences is None:
        return features
    return features.hstack(model.sequence.lists_of(sequences, frame))
