"""Files whose rows lie bucket after bucket, and beside each where in it every bucket begins.

So a few buckets are read from a file without a look at the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from events.store import CPU
from runtime.collect import collect
from runtime.files import write_atomic

ROW_GROUP = 1 << 15  # what is read beside the buckets asked for is at most two of these

Compression = Literal["lz4", "uncompressed"]


@dataclass(frozen=True)
class Bucketed:
    """`starts[b]`: the row at which bucket b begins; one more at the end: the number of rows."""

    path: Path
    starts: npt.NDArray[np.int64]

    def read(self, first: int, last: int) -> pl.DataFrame:
        """The rows of the buckets [first, last), in their order."""
        begin, end = int(self.starts[first]), int(self.starts[last])
        plan = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        return collect(plan.slice(begin, end - begin), CPU)


def write_bucketed(
    path: Path,
    rows: pl.DataFrame,
    bucket: pl.Series,
    buckets: int,
    compression: Compression = "uncompressed",
) -> None:
    """`bucket` in [0, buckets) for each row. Memory: twice the rows. Raises OutputError."""
    number = bucket.cast(pl.UInt16).to_numpy()
    order = np.argsort(number, kind="stable")  # of 16 bits: a radix sort
    starts = np.zeros(buckets + 1, np.int64)
    np.cumsum(np.bincount(number, minlength=buckets), out=starts[1:])
    # Rechunked, for to gather from many chunks takes ten times as long.
    parted = rows.rechunk()[pl.Series(order)]
    write_atomic(_starts_of(path), lambda draft: _save(draft, starts))
    write_atomic(
        path,
        lambda draft: parted.write_parquet(
            draft, compression=compression, row_group_size=ROW_GROUP, statistics=False
        ),
    )


def open_bucketed(path: Path) -> Bucketed:
    return Bucketed(path, np.load(_starts_of(path)))


def _starts_of(path: Path) -> Path:
    return path.with_suffix(".npy")


def _save(draft: Path, starts: npt.NDArray[np.int64]) -> None:
    with draft.open("wb") as file:
        np.save(file, starts)
