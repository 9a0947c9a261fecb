"""Rows that tell what the log holds already, within one bucket.

With "event_id" two rows of a source are one event where user and event id are equal (a row
without an id: where it is equal as a whole); with "row" where they are equal in every column
but `received`. Of several new rows the first in ROW_ORDER is kept, so neither the order of
files nor of rows matters, and an event is known from its first arrival on; what the store has
stays.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from events.contract import IDENTITY
from events.ordering import Ordered, in_row_order
from events.store import CPU
from runtime.collect import collect

Mode = Literal["event_id", "row", "none"]
ID_KEY = ("source", "user_id", "event_id")
_PLACE = "place"

Flags = npt.NDArray[np.bool_]


def new_rows(rows: pl.DataFrame, stored: pl.LazyFrame | None, mode: Mode) -> pl.DataFrame:
    """The rows of a bucket that are new beside `stored`, in ROW_ORDER."""
    ordered = in_row_order(rows)
    if mode == "none" or not rows.height:
        return ordered.rows
    again = _equal_to_the_one_before(ordered)
    with_id: Flags | None = None
    if mode == "event_id" and rows["event_id"].null_count() < rows.height:
        with_id = ordered.rows["event_id"].is_not_null().to_numpy()
        again = np.where(with_id, _id_seen_before(ordered.rows), again)
    if stored is not None:
        again |= _stored_already(ordered.rows, stored, with_id)
    return ordered.rows.filter(pl.Series(~again)) if again.any() else ordered.rows


def _equal_to_the_one_before(ordered: Ordered) -> Flags:
    """Equal rows are neighbours in ROW_ORDER, and share user and time."""
    again = np.zeros(ordered.rows.height, np.bool_)
    if len(ordered.tied):
        few = ordered.rows.select(IDENTITY)[pl.Series(ordered.tied)]
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in IDENTITY)
        again[ordered.tied] = few.select(same).to_series().to_numpy()
    return again


def _id_seen_before(rows: pl.DataFrame) -> Flags:
    """Whether an earlier row has the same source, user and id; rows without an id are all one."""
    key = rows.select(ID_KEY)
    # Hashes first: equal keys have equal ones, and few others do.
    few = key.hash_rows().is_duplicated().arg_true()
    seen = np.zeros(rows.height, np.bool_)
    if len(few):
        first = key[few].select(pl.struct(pl.all()).is_first_distinct()).to_series()
        seen[few.to_numpy()] = ~first.to_numpy()
    return seen


def _stored_already(rows: pl.DataFrame, stored: pl.LazyFrame, with_id: Flags | None) -> Flags:
    known = np.zeros(rows.height, np.bool_)
    if with_id is None:
        known[_found_in(rows, IDENTITY, stored)] = True
        return known
    for key, of_these in ((ID_KEY, with_id), (IDENTITY, ~with_id)):
        places = np.flatnonzero(of_these)
        if len(places):
            known[places[_found_in(rows.filter(pl.Series(of_these)), key, stored)]] = True
    return known


def _found_in(
    rows: pl.DataFrame, key: tuple[str, ...], stored: pl.LazyFrame
) -> npt.NDArray[np.int64]:
    """The places of the rows of which the store has the key."""
    if "ts" in key:
        stored = stored.filter(pl.col("ts").is_between(rows["ts"].min(), rows["ts"].max()))
    numbered = rows.lazy().select(key).with_row_index(_PLACE)
    plan = numbered.join(stored.select(key), on=list(key), how="semi", nulls_equal=True)
    return collect(plan.select(_PLACE), CPU)[_PLACE].to_numpy().astype(np.int64)
