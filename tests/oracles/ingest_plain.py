"""A bucket's new rows by plain sorts and joins of all columns: what the fast way must equal."""

from __future__ import annotations

import polars as pl

from events.contract import IDENTITY, ROW_ORDER
from events.duplicates import ID_KEY, Mode


def plain_new_rows(rows: pl.DataFrame, stored: pl.DataFrame | None, mode: Mode) -> pl.DataFrame:
    if mode == "none":
        return rows.sort(ROW_ORDER)
    with_id = pl.col("event_id").is_not_null() & (mode == "event_id")
    by_id = _distinct(rows.filter(with_id), ID_KEY, stored)
    whole = _distinct(rows.filter(~with_id), IDENTITY, stored)
    return pl.concat([by_id, whole]).sort(ROW_ORDER)


def _distinct(
    rows: pl.DataFrame, key: tuple[str, ...], stored: pl.DataFrame | None
) -> pl.DataFrame:
    rows = rows.sort(ROW_ORDER).unique(subset=key, keep="first", maintain_order=True)
    return rows if stored is None else rows.join(stored, on=key, how="anti", nulls_equal=True)
