"""The settings of a sequence model, and what training it will cost; PyTorch is not loaded here."""

from __future__ import annotations

from dataclasses import dataclass

# Measured on one thread of a machine that others used as well, of the default encoder at a width of
# 32; a wider one is taken to need as many times longer, which is more than it does.
EVENTS_A_SECOND = 250_000.0
MEASURED_WIDTH = 32
PRETRAIN_FACTOR = 2.0  # events are read once for each of the two objectives
SECONDS_A_STEP = 0.004
START_SECONDS = 5.0
VALIDATION_SHARE = 0.2  # of the time of the steps, added by looking at the validation slice


@dataclass(frozen=True)
class SequenceSpec:
    """encoder             a name in `encoders.ENCODERS`
    width, hidden       numbers in a state, and in the hidden layer that the heads read
    length              events of a sequence, the last ones before the cutoff
    batch, batch_events    the most sequences and the most events in one
    epochs              the most; of fewer rows than make `least_steps`, as many as make them
    most_events         an epoch reads no more; rows beyond are left out by hash of user and cutoff
    dropout             of what the hidden layer reads
    patience            validations without a better one before training stops
    pretrain_epochs     over the sequences of everyone at the newest cutoff; 0: none
    bags                models of as many seeds, of which the mean is taken
    steps               of optimisation; None: found by early stopping
    """

    encoder: str = "recurrence"
    width: int = 32
    hidden: int = 64
    length: int = 200
    batch: int = 256
    batch_events: int = 40_000
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    epochs: int = 4
    least_steps: int = 400
    most_events: int = 5_000_000
    patience: int = 4
    pretrain_epochs: int = 4
    bags: int = 2
    seed: int = 0
    steps: int | None = None

    def steps_of(self, rows: int, events: int) -> int:
        """Of a training that goes over so many rows and events, early stopping left aside."""
        return max(self.epochs * self.steps_an_epoch(rows, events), self.least_steps)

    def steps_an_epoch(self, rows: int, events: int) -> int:
        """About how many batches so many rows make."""
        return max(-(-rows // self.batch), -(-events // self.batch_events), 1)


@dataclass(frozen=True)
class Counts:
    """rows, events        labelled rows of the fit slice, and the events in their sequences
    people, their_events    of everyone at the newest cutoff, labelled or not, to pretrain on
    """

    rows: int
    events: int
    people: int
    their_events: int


def cost_seconds(counts: Counts, spec: SequenceSpec) -> float:
    """About how long `fit_sequence` takes on two cores: a stated estimate, from counts alone
    (`sequence_rows.counted`).

    Every event of a step costs the same; the search stops no earlier than it may and is followed
    by the fits on all rows. With `steps` settled there are the fits alone.
    """
    rows, events = _held(counts.rows, counts.events, spec)
    fit = (spec.steps or spec.steps_of(rows, events)) * _step_seconds(rows, events, spec)
    search = 0.0 if spec.steps else fit * (1 + VALIDATION_SHARE)
    people, theirs = _held(counts.people, counts.their_events, spec)
    an_epoch = spec.steps_an_epoch(people, theirs) * _step_seconds(people, theirs, spec)
    return (
        START_SECONDS + search + spec.bags * fit + spec.pretrain_epochs * PRETRAIN_FACTOR * an_epoch
    )


def _held(rows: int, events: int, spec: SequenceSpec) -> tuple[int, int]:
    share = min(1.0, spec.most_events / max(events, 1))
    return round(rows * share), round(events * share)


def _step_seconds(rows: int, events: int, spec: SequenceSpec) -> float:
    found = events / spec.steps_an_epoch(rows, events) / EVENTS_A_SECOND
    return found * max(spec.width / MEASURED_WIDTH, 1.0) + SECONDS_A_STEP
