"""Staged rows into the events table: bucket by bucket sorted and told apart, in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from events.bucketed import Bucketed
from events.contract import EVENTS
from events.duplicates import Mode, new_rows
from events.mapping import ROW_COLUMNS, Constants
from events.staging import Staged
from runtime.parts import Part, Table, write_part
from runtime.progress import progress
from runtime.tables import commit
from runtime.threads import in_threads

GROUP_ROWS = 1 << 20
THREADS = 2  # a bucket's work keeps hardly more than one core busy


@dataclass(frozen=True)
class _Pieces:
    """The staged files: each part with the constants of its own; `shared`: those of all."""

    parts: tuple[tuple[Bucketed, Constants], ...]
    shared: Constants


def add_staged(
    path: Path,
    staged: Sequence[Staged],
    stored: Table | None,
    buckets: int,
    mode: Mode,
    keys: Sequence[str],
    numbers: dict[str, int],
) -> int:
    """Adds to the table at `path` the rows that are new beside `stored`; how many those are.

    One commit makes the files of all buckets a version, and records `keys` and `numbers`.
    Memory: a group of buckets a thread.
    """
    pieces, parts = _pieces(staged), list[Part]()

    def work(group: range) -> int:
        for fresh in _new_in(pieces, group, stored, mode):
            if fresh.height:
                bucket = fresh["bucket"][0]
                parts.append(write_part(path, EVENTS, fresh, is_sorted=True, bucket=bucket))
        return len(group)

    try:
        with progress("adding", buckets) as advance:
            for done in in_threads(work, _groups(pieces, buckets), THREADS):
                advance(done)
        commit(path, EVENTS, parts, (), keys, numbers)
    except BaseException:
        for part in parts:  # of no version: they would only fill the disk
            (path / part.path).unlink(missing_ok=True)
        raise
    return sum(part.rows for part in parts)


def _pieces(staged: Sequence[Staged]) -> _Pieces:
    first, *others = (file.summary.constants for file in staged)
    shared = {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }
    parts = [
        (part, {n: v for n, v in file.summary.constants.items() if n not in shared})
        for file in staged
        for part in file.row_parts()
    ]
    return _Pieces(tuple(parts), shared)


def _groups(pieces: _Pieces, buckets: int) -> Iterator[range]:
    """Adjacent buckets of together at most GROUP_ROWS rows, or one bucket."""
    starts = sum((part.starts for part, _ in pieces.parts), np.zeros(buckets + 1, np.int64))
    first = 0
    for bucket in range(1, buckets + 1):
        if bucket == buckets or starts[bucket + 1] - starts[first] > GROUP_ROWS:
            yield range(first, bucket)
            first = bucket


def _new_in(
    pieces: _Pieces, group: range, stored: Table | None, mode: Mode
) -> Iterator[pl.DataFrame]:
    """The new rows of each bucket that has some, in EVENTS' columns and ROW_ORDER."""
    names = [name for name in ROW_COLUMNS if name not in pieces.shared]
    read = [
        _with(part.read(group.start, group.stop), constants).select(names)
        for part, constants in pieces.parts
    ]
    for bucket in group:
        staged = list(_of_bucket(pieces, read, group, bucket))
        if not staged:
            continue
        known = stored.scan(bucket=bucket) if stored else None
        fresh = new_rows(_with(pl.concat(staged), pieces.shared), known, mode)
        if fresh.height:
            number = pl.lit(bucket, EVENTS.schema["bucket"])
            yield fresh.with_columns(bucket=number).select(list(EVENTS.schema))


def _of_bucket(
    pieces: _Pieces, read: Sequence[pl.DataFrame], group: range, bucket: int
) -> Iterator[pl.DataFrame]:
    """The bucket's rows in each part that has some."""
    for (part, _), rows in zip(pieces.parts, read, strict=True):
        first = part.starts[group.start]
        begin, end = part.starts[bucket] - first, part.starts[bucket + 1] - first
        if end > begin:
            yield rows.slice(int(begin), int(end - begin))


def _with(rows: pl.DataFrame, constants: Constants) -> pl.DataFrame:
    return rows.with_columns(
        pl.lit(value, EVENTS.schema[name]).alias(name) for name, value in constants.items()
    )
