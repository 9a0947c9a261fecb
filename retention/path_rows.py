"""The rows that paths are made of: users and events as small numbers, in order.

On the CPU the numbers are read off the dictionaries of a bucket's Parquet file, where its rows lie
in order already; elsewhere a plan makes them of the texts. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from events.store import EventStore, known_before
from retention.anchors import within
from runtime.device import Device

UNKNOWN = 0  # the number of an event that has none
# Rows equal in these are interchangeable in a path. ROW_ORDER begins with them.
ORDER = ("user_id", "ts", "event")
_TEXTS = ("user_id", "event")


def rows_of(
    events: pl.LazyFrame,
    store: EventStore,
    bucket: int,
    kinds: Mapping[str, int],
    device: Device,
    since: datetime | None,
    until: datetime | None,
) -> pl.LazyFrame:
    """One row an event that has a kind, in `[since, until)`, by user, instant and name.

    number    Int32, counts the users up from 0; sorted
    ts        Int64, microseconds
    kind      Int32, as `kinds` says
    """
    if device.kind == "cpu" and store.in_order(bucket):
        rows = coded_rows(store, bucket, kinds)
        return rows.filter(within_us(since, until) & (pl.col("kind") != UNKNOWN))
    return named_rows(events, kinds, since, until, in_order=store.in_order(bucket)).drop("user_id")


def named_rows(
    events: pl.LazyFrame,
    kinds: Mapping[str, int],
    since: datetime | None,
    until: datetime | None,
    *,
    in_order: bool,
) -> pl.LazyFrame:
    """The same by a plan, with `user_id`."""
    rows = events.filter(within("ts", since, until)).select(ORDER)
    if not in_order:
        rows = rows.sort(ORDER)
    changed = (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(value=False)
    return rows.select(
        "user_id",
        ts=pl.col("ts").cast(pl.Int64),
        kind=_kind(kinds),
        number=changed.cast(pl.Int32).cum_sum(),
    ).filter(pl.col("kind") != UNKNOWN)


def _kind(kinds: Mapping[str, int]) -> pl.Expr:
    if not kinds:
        return pl.lit(UNKNOWN, pl.Int32)
    return pl.col("event").replace_strict(
        list(kinds), list(kinds.values()), default=UNKNOWN, return_dtype=pl.Int32
    )


def within_us(since: datetime | None, until: datetime | None) -> pl.Expr:
    """Whether `ts` in microseconds lies in `[since, until)`."""
    inside = pl.lit(value=True)
    if since is not None:
        inside &= pl.col("ts") >= micros(since)
    if until is not None:
        inside &= pl.col("ts") < micros(until)
    return inside


def micros(instant: datetime) -> int:
    return int(pl.select(pl.lit(instant, pl.Datetime("us", "UTC")).cast(pl.Int64)).item())


def coded_rows(store: EventStore, bucket: int, kinds: Mapping[str, int]) -> pl.LazyFrame:
    """number, ts and kind of a bucket that lies in order, in one file. Memory: these columns."""
    files = store.table.files_of(bucket=bucket)
    if not files:
        return pl.LazyFrame(schema={"number": pl.Int32, "ts": pl.Int64, "kind": pl.Int32})
    (file,) = files
    parquet = pq.ParquetFile(file, read_dictionary=list(_TEXTS))
    known = _all_known(parquet, store.as_of)
    columns = ["user_id", "ts", "event", *([] if known else ["received"])]
    table = parquet.read(columns, use_threads=False)
    frame = pl.DataFrame(
        {
            "number": user_numbers(table["user_id"]),
            "ts": pl.Series(table["ts"]).cast(pl.Int64),
            "kind": _kinds(table["event"], kinds),
        }
    )
    if known:
        return frame.lazy()
    told = pl.DataFrame({name: pl.Series(table[name]) for name in ("ts", "received")})
    return frame.lazy().filter(told.select(known_before(store.as_of)).to_series())


def _all_known(parquet: pq.ParquetFile, as_of: datetime) -> bool:
    """Whether the file's own statistics tell that no row of it is left out at the as-of."""
    meta = parquet.metadata
    place = {meta.schema.column(n).name: n for n in range(meta.num_columns)}
    for group in map(meta.row_group, range(meta.num_row_groups)):
        instants = group.column(place["ts"]).statistics
        arrivals = group.column(place["received"]).statistics
        if instants is None or not instants.has_min_max or instants.max >= as_of:
            return False
        # Polars counts the nulls of a column in a dictionary twice, so their number alone will
        # not do; where there is any value it writes the least and the largest one.
        if arrivals is None or arrivals.has_min_max or arrivals.null_count < group.num_rows:
            return False
    return True


def user_numbers(users: pa.ChunkedArray) -> NDArray[np.int32]:
    """Each row's user, counted from 0. Within a chunk no text has two places in the dictionary."""
    number = np.empty(len(users), np.int32)
    row, last, before = 0, -1, None
    for chunk in users.chunks:
        if not len(chunk):
            continue
        places = chunk.indices.to_numpy()
        first = chunk.dictionary[int(places[0])].as_py()
        last += first != before
        own = number[row : row + len(places)]
        own[0] = last
        np.cumsum(places[1:] != places[:-1], out=own[1:], dtype=np.int32)
        own[1:] += last
        row, last = row + len(places), int(own[-1])
        before = chunk.dictionary[int(places[-1])].as_py()
    return number


def _kinds(texts: pa.ChunkedArray, kinds: Mapping[str, int]) -> NDArray[np.int32]:
    parts = [np.empty(0, np.int32)]
    for chunk in texts.chunks:
        held = [kinds.get(text, UNKNOWN) for text in chunk.dictionary.to_pylist()]
        parts.append(np.array(held, np.int32)[chunk.indices.to_numpy()])
    return np.concatenate(parts)


def count_names(store: EventStore, bucket: int) -> pl.DataFrame | None:
    """event, rows of a bucket, off the dictionaries; None where a row may not be known yet."""
    found: dict[str, int] = {}
    for file in store.table.files_of(bucket=bucket):
        parquet = pq.ParquetFile(file, read_dictionary=["event"])
        if not _all_known(parquet, store.as_of):
            return None
        for chunk in parquet.read(["event"], use_threads=False)["event"].chunks:
            names = chunk.dictionary.to_pylist()
            counts = np.bincount(chunk.indices.to_numpy(), minlength=len(names))
            for name, rows in zip(names, counts.tolist(), strict=True):
                found[name] = found.get(name, 0) + rows
    counted = {name: rows for name, rows in found.items() if rows}
    return pl.DataFrame(
        {"event": list(counted), "rows": list(counted.values())},
        schema={"event": pl.String, "rows": pl.Int64},
    )
