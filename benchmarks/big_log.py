"""A large log in Parquet files for the benchmarks: few users do much and many little.

    python -m benchmarks.big_log FOLDER EVENTS [USERS] [FILES]

Made a chunk at a time: memory holds one chunk and the users' ids, whatever the number of events.
"""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from events.contract import TIME

START = datetime(2022, 1, 1, tzinfo=UTC)
DAYS = 730
CHUNK_ROWS = 1 << 20
KINDS = {
    "view": 0.40,
    "login": 0.15,
    "search": 0.12,
    "cart": 0.08,
    "mail_open": 0.06,
    "push_open": 0.05,
    "purchase": 0.05,
    "rate": 0.03,
    "share": 0.02,
    "support": 0.02,
    "refund": 0.01,
    "payment_failed": 0.01,
}
CHANNELS = {"web": 0.5, "app": 0.35, "mail": 0.1, "store": 0.05}
PAID = ("purchase", "refund")
_DAY_MS = 86_400_000
_FIRST_RANK = 100  # what is added to a rank: the busiest user has about a thousandth of the events


def write_big_log(
    folder: Path, events: int, users: int = 1_000_000, files: int = 1, seed: int = 0
) -> list[Path]:
    """`files` files of together `events` rows: user_id (text such as 'u0000123'), ts (UTC, whole
    milliseconds, 730 days, in order but for a day or so, as logs are), event (12 names), amount
    (of purchases and refunds, else null) and channel (4 names).

    How often the user of rank r occurs is as 1 / (100 + r): Zipf's law as Mandelbrot bent it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = _ids(users, seed)
    paths = []
    for number in range(files):
        first, last = number * events // files, (number + 1) * events // files
        path = folder / f"log-{number:03d}.parquet"
        _write(path, first, last, events, ids, seed)
        paths.append(path)
    return paths


def _write(path: Path, first: int, last: int, events: int, ids: pl.Series, seed: int) -> None:
    writer: pq.ParquetWriter | None = None
    for start in range(first, last, CHUNK_ROWS):
        rows = min(CHUNK_ROWS, last - start)
        table = _chunk(start, rows, events, ids, np.random.default_rng([seed, start])).to_arrow()
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _ids(users: int, seed: int) -> pl.Series:
    """The users' ids in the order of how much they do: any order of the ids themselves."""
    ranked = np.random.default_rng([seed, users]).permutation(users)
    return pl.select("u" + pl.Series(ranked).cast(pl.String).str.zfill(7)).to_series()


def _chunk(
    start: int, rows: int, events: int, ids: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    spread = math.log1p(len(ids) / _FIRST_RANK)
    rank = (_FIRST_RANK * np.expm1(rng.random(rows) * spread)).astype(np.int64)
    kind = _draw(rng, KINDS, rows)
    paid = np.isin(kind, [list(KINDS).index(name) for name in PAID])
    amount = np.where(paid, np.round(rng.lognormal(3, 1, rows), 2), np.nan)
    channel = _draw(rng, CHANNELS, rows)
    at = (np.arange(start, start + rows) / events * (DAYS - 1) + rng.random(rows)) * _DAY_MS
    micros = pl.Series(at.astype(np.int64) * 1000)
    return pl.DataFrame(
        {
            "user_id": ids.gather(np.minimum(rank, len(ids) - 1)),
            "ts": (micros.cast(pl.Duration("us")) + START).cast(TIME),
            "event": pl.Series(list(KINDS)).gather(kind),
            "amount": pl.Series(amount).fill_nan(None),
            "channel": pl.Series(list(CHANNELS)).gather(channel),
        }
    )


def _draw(rng: np.random.Generator, shares: dict[str, float], rows: int) -> npt.NDArray[np.int64]:
    edges = np.cumsum(list(shares.values()))[:-1]
    return np.searchsorted(edges, rng.random(rows), side="right")


if __name__ == "__main__":
    target, *numbers = sys.argv[1:]
    for written in write_big_log(Path(target), *map(int, numbers)):
        print(written)
