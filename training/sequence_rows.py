"""The labelled rows of a training with their sequences, in an order that no bucket decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor

from features.definitions import Definitions
from features.sequence_files import BucketSequences, Sequences
from features.sequences import micros
from features.time import Cutoff
from runtime.clock import show
from runtime.errors import LabelError, ModelError
from training.ragged import Columns, tensors
from training.ranks import planned
from training.sequence_batches import TS, Batches, Numbers, Slices
from training.sequence_heads import known_bins
from training.sequence_inputs import COLUMNS
from training.sequence_spec import Counts, SequenceSpec
from training.split import user_fold, user_share

KEY = ("cutoff", "user_id")
EARLY = "churn_"  # and the days: the label of a shorter horizon, as `features.steps` names it


@dataclass(frozen=True)
class Horizons:
    """days       at which some churn label is known, rising
    labels     the columns of the labels
    passive    whether churn is that nothing happens
    """

    days: tuple[float, ...]
    labels: tuple[str, ...]
    passive: bool

    @classmethod
    def of(cls, rows: pl.DataFrame, definitions: Definitions) -> Horizons:
        """Those of the columns that hold a label. Raises LabelError where there is none."""
        whole = definitions.churn.horizon_days
        early = (name.removeprefix(EARLY) for name in rows.columns if name.startswith(EARLY))
        names = {int(d): f"{EARLY}{d}" for d in early if d.isdigit() and int(d) < whole}
        known = {
            float(days): name
            for days, name in sorted((names | {whole: "churn"}).items())
            if rows[name].null_count() < len(rows)
        }
        if not known:
            raise LabelError(
                f"no labelled user to fit sequences on (found {len(rows):,} rows); ingest more "
                "users, widen [eligible] or shorten churn.horizon_days"
            )
        return cls(tuple(known), tuple(known.values()), definitions.churn.kind == "passive")


@dataclass(frozen=True)
class Located:
    """Rows sorted by cutoff and user, and where their sequences lie.

    frame    the rows, of each the `part`, `begin` and `end` of its sequence; begin = end where
             the user has none
    parts    of each bucket the arrays, mapped
    """

    frame: pl.DataFrame
    parts: tuple[Columns, ...]

    @cached_property
    def slices(self) -> Slices:
        part, begin, end = (self.frame[n].to_numpy() for n in ("part", "begin", "end"))
        return Slices(part, begin, end, self.frame["cutoff"].dt.epoch("us").to_numpy())

    def where(self, keep: pl.Expr) -> Located:
        return Located(self.frame.filter(keep), self.parts)

    @property
    def events(self) -> int:
        return int(self.slices.lengths.sum())

    def batches(self, spec: SequenceSpec, device: torch.device) -> Batches:
        """Where several processes train one model, those of this one: each has its part of what
        one alone would have in a batch, so that a step is of as many events and an epoch of as many
        steps."""
        ranks = planned()
        return Batches(
            self.parts,
            self.slices,
            max(spec.batch_events // ranks.size, 1),
            spec.seed,
            sequences=max(min(spec.batch, len(self.frame)) // ranks.size, 1),
            device=device,
            rank=ranks.rank,
            ranks=ranks.size,
        )

    def outcomes(self, horizons: Horizons) -> tuple[Tensor, Tensor, Tensor]:
        """`low`, `high` and value of `sequence_fit.OutcomeBatches`; NaN for a value unknown, and
        0 for one below it."""
        labels = self.frame.select(pl.col(horizons.labels).cast(pl.Float32).fill_null(float("nan")))
        told = torch.from_numpy(labels.to_numpy(writable=True))
        low, high = known_bins(told, horizons.days, horizons.days, passive=horizons.passive)
        value = self.frame["value"].cast(pl.Float32).clip(0.0).fill_null(float("nan"))
        return low, high, torch.from_numpy(value.to_numpy(writable=True))

    @property
    def key(self) -> str:
        """A digest of the rows and of how many events their sequences have, as hex."""
        found = hashlib.sha256(self.slices.lengths.tobytes())
        found.update("\n".join(self.frame["user_id"]).encode())
        found.update(self.frame["cutoff"].dt.epoch("us").to_numpy().tobytes())
        return found.hexdigest()

    def digest(self, horizons: Horizons) -> str:
        """The same with the labels."""
        found = hashlib.sha256(self.key.encode())
        for held in self.outcomes(horizons):
            found.update(held.numpy().tobytes())
        return found.hexdigest()


def locate(sequences: Sequences, rows: pl.DataFrame) -> Located:
    """The sequences of rows (`cutoff`, `user_id` and any other columns), sorted by these two.

    Raises ModelError for a cutoff that the sequences were not made for.
    """
    known = {cutoff.at for cutoff in sequences.cutoffs}
    cutoffs = rows["cutoff"].unique().to_list()
    if missing := sorted(set(cutoffs) - known):
        raise ModelError(
            f"{sequences.path}: has no sequences at {show(missing[0])}; make them for the cutoffs "
            "of the training"
        )
    buckets = [sequences.bucket(number) for number in sequences.buckets]
    places = [sequences.cutoffs.index(Cutoff(at)) for at in cutoffs]
    slices = _slices(buckets, places, sequences, rows.select(KEY))
    found = rows.join(slices, on=KEY, how="left").with_columns(
        pl.col("part", "begin", "end").fill_null(0)
    )
    parts = [_columns(bucket) for bucket in buckets]
    return Located(found.sort(KEY), tuple(parts))


def everyone(sequences: Sequences, at: Cutoff) -> Located:
    """Every sequence at one cutoff, labelled or not."""
    buckets = [sequences.bucket(number) for number in sequences.buckets]
    slices = _slices(buckets, [sequences.cutoffs.index(at)], sequences)
    return Located(slices.sort(KEY), tuple(_columns(bucket) for bucket in buckets))


def _slices(
    buckets: Sequence[BucketSequences],
    places: Sequence[int],
    sequences: Sequences,
    asked: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """cutoff, user_id, part, begin, end of every sequence at some of the cutoffs, by place; of
    those asked for alone, where some are, so that nobody else's are held."""
    at = [sequences.cutoffs[place].at for place in places]
    found = []
    for k, bucket in enumerate(buckets):
        mine = bucket.frame().filter(pl.col("cutoff").is_in(at))
        mine = mine if asked is None else mine.join(asked, on=KEY, how="semi")
        found.append(mine.select(*KEY, pl.lit(k, pl.Int64).alias("part"), "begin", "end"))
    return pl.concat(found)


def _columns(bucket: BucketSequences) -> Columns:
    held = (*COLUMNS, TS)
    return {name: values for name, values in tensors(bucket.arrays).items() if name in held}


def labelled(located: Located, horizons: Horizons) -> Located:
    """The rows of which some label is known."""
    return located.where(pl.any_horizontal(pl.col(horizons.labels).is_not_null()))


def fewer(located: Located, most_events: int, seed: int) -> Located:
    """Rows whose sequences have about so many events together, left out by hash of user and
    cutoff, so that neither bucket nor row order decides."""
    if located.events <= most_events:
        return located
    share = most_events / located.events
    kept = [
        located.frame.filter(
            (pl.col("cutoff") == at) & (user_share(seed, f"sequence {micros(at)}") < share)
        )
        for at in located.frame["cutoff"].unique().sort().to_list()
    ]
    return Located(pl.concat(kept), located.parts)


def held_apart(located: Located, definitions: Definitions, seed: int) -> tuple[Located, Located]:
    """Rows to learn from and rows to stop early by: those at the newest cutoff, and those at
    cutoffs whose labels were known by then; a fold of the users where there are none such."""
    churn, value = definitions.churn, definitions.value
    longest = max(churn.horizon_days, value.horizon_days or churn.horizon_days)
    newest = located.frame["cutoff"].max()
    embargo = pl.duration(days=churn.gap_days + longest)
    early = located.where(pl.col("cutoff") + embargo <= newest)
    if not early.frame.is_empty():
        return early, located.where(pl.col("cutoff") == newest)
    out = user_fold(seed) == 0
    return located.where(~out), located.where(out)


def counted(sequences: Sequences, rows: pl.DataFrame) -> Counts:
    """What `cost_seconds` asks for."""
    located = locate(sequences, rows)
    people = everyone(sequences, Cutoff(rows["cutoff"].max()))  # type: ignore[arg-type]
    return Counts(len(rows), located.events, len(people.frame), people.events)


def positions(count: int, most: int) -> Numbers:
    """At most so many places of so many rows, evenly over them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
