"""Rows that tell what the log holds already, within one bucket.

With "event_id" two rows of a source are one event where user and event id are equal (a row
without an id: where it is equal as a whole); with "row" where they are equal in every column.
Of several new rows the first in ROW_ORDER is kept, so neither the order of files nor of rows
matters; what the store has stays.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from events.contract import ROW_ORDER
from events.store import CPU
from runtime.collect import collect

Mode = Literal["event_id", "row", "none"]
ID_KEY = ("source", "user_id", "event_id")


def new_rows(rows: pl.DataFrame, stored: pl.LazyFrame | None, mode: Mode) -> pl.DataFrame:
    """The rows of a bucket that are new beside `stored`, in ROW_ORDER."""
    if mode == "none" or not rows.height:
        return rows.sort(ROW_ORDER)
    with_id = pl.col("event_id").is_not_null() & (mode == "event_id")
    by_id = _distinct(rows.filter(with_id), ID_KEY, stored)
    whole = _distinct(rows.filter(~with_id), ROW_ORDER, stored)
    return pl.concat([by_id, whole]).sort(ROW_ORDER)


def _distinct(
    rows: pl.DataFrame, key: tuple[str, ...], stored: pl.LazyFrame | None
) -> pl.DataFrame:
    if not rows.height:
        return rows
    rows = rows.sort(ROW_ORDER).unique(subset=key, keep="first", maintain_order=True)
    if stored is None:
        return rows
    if "ts" in key:
        first, last = rows["ts"].min(), rows["ts"].max()
        stored = stored.filter(pl.col("ts").is_between(first, last))
    return collect(
        rows.lazy().join(stored.select(key), on=list(key), how="anti", nulls_equal=True), CPU
    )
