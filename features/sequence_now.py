"""The sequences of one bucket at one cutoff as lists, for scoring it without writing a file."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from events.store import EventStore
from features.matured import require_history
from features.sequences import SECOND_US, known_plan, micros, sequence_plan
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, UsageError

NAMES = ("kind", "gap", "amount", "channel", "hour", "weekday", "age")
LISTS = tuple(f"sequence_{name}" for name in NAMES)


def bucket_sequences(
    store: EventStore, bucket: int, cutoff: Cutoff, spec: FeatureSpec, length: int, device: Device
) -> pl.DataFrame:
    """The last `length` events, first event first, of everyone in the bucket with one known at the
    cutoff: what `build_sequences` gives for it.

    user_id                sorted
    sequence_<name>        of each array of `sequences.ARRAYS` but `ts` a list; and instead of that
    sequence_age           Float32, seconds from each event to the cutoff

    Raises LabelError for a cutoff before the log or after the store's as-of, UsageError for a
    length below 1.
    """
    if length < 1:
        raise UsageError(f"sequences of {length} events: name at least 1")
    require_history(store, cutoff)
    if cutoff.at > store.as_of:
        raise LabelError(
            f"cutoff {show(cutoff.at)}: lies after the as-of, {show(store.as_of)}; choose an "
            "earlier instant"
        )
    rows = collect(now_plan(store.scan(bucket), cutoff, spec, length), device)
    return _lists(rows.rechunk())


def now_plan(events: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec, length: int) -> pl.LazyFrame:
    """One row an event of these sequences: number, user_id and NAMES, by user and time."""
    rows = known_plan(sequence_plan(events, spec), cutoff, length)
    since = (micros(cutoff.at) - pl.col("ts")) / SECOND_US
    return rows.with_columns(age=since.cast(pl.Float32)).select("number", "user_id", *NAMES)


def _lists(rows: pl.DataFrame) -> pl.DataFrame:
    """From rows that lie user by user; the values of the lists are the rows' own."""
    number = rows["number"].to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    offsets = pa.array(np.append(starts, len(number)).astype(np.int64))
    users = rows["user_id"].gather(starts)
    lists = {
        f"sequence_{name}": pl.Series(
            pa.LargeListArray.from_arrays(offsets, rows[name].to_arrow()),
            dtype=pl.List(rows.schema[name]),
        )
        for name in NAMES
    }
    return pl.DataFrame({"user_id": users, **lists})
