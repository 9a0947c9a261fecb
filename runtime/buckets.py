"""Work mapped over buckets: finished ones are kept, a failed one is tried again, then named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from runtime.errors import BucketError, HoldfastError, from_foreign
from runtime.files import write_atomic
from runtime.progress import progress

TRIES = 2


def map_buckets(
    work: Callable[[int], pl.DataFrame], buckets: Sequence[int], staging: Path, label: str
) -> list[Path]:
    """One Parquet file a bucket in `staging`, in the order of `buckets`.

    `staging` must be named after everything the result depends on: a file that lies there
    already is taken as this work's own, which is how interrupted work is taken up again.
    """
    paths = []
    with progress(label, len(buckets)) as advance:
        for bucket in buckets:
            path = staging / f"{bucket:05d}.parquet"
            if not path.exists():
                frame = _tried(work, bucket, label)
                write_atomic(path, frame.write_parquet)
            paths.append(path)
            advance()
    return paths


def _tried(work: Callable[[int], pl.DataFrame], bucket: int, label: str) -> pl.DataFrame:
    for attempt in range(1, TRIES + 1):
        try:
            return work(bucket)
        except HoldfastError:
            raise
        except Exception as error:
            if known := from_foreign(error, f"{label}, bucket {bucket}"):
                raise known from error
            if attempt == TRIES:
                raise BucketError(
                    f"{label}: bucket {bucket} failed {TRIES} times: {error}; finished buckets "
                    "are kept, run again to go on"
                ) from error
    raise AssertionError("unreachable")


def frames(paths: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """The staged frames, one in memory at a time."""
    for path in paths:
        yield pl.read_parquet(path)
