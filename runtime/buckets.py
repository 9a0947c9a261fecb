"""Work mapped over buckets: finished ones are kept, a failed one is tried again, then named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from runtime.cluster import IN_PROCESS, Cluster, InProcess, connected
from runtime.handout import ORDER_SUFFIX
from runtime.progress import progress
from runtime.task import Task, at_work

K = TypeVar("K", int, str)


def map_buckets(
    work: Callable[[int], pl.DataFrame],
    buckets: Sequence[int],
    staging: Path,
    label: str,
    cluster: Cluster = IN_PROCESS,
) -> list[Path]:
    """One Parquet file a bucket in `staging`, in the order of `buckets`; see `map_work`."""
    return map_work(partial(_write, work), buckets, staging, ".parquet", label, cluster)


def _write(work: Callable[[int], pl.DataFrame], bucket: int, path: Path) -> None:
    work(bucket).write_parquet(path)


def map_work(
    work: Callable[[K, Path], None],
    keys: Sequence[K],
    staging: Path,
    suffix: str,
    label: str,
    cluster: Cluster = IN_PROCESS,
    unit: str = "bucket",
    noting: str = "",
) -> list[Path]:
    """One file a key in `staging`, in the order of `keys`, each written by `work(key, path)`.

    `staging` must be named after everything the result depends on and belong to one map at a
    time: a file that lies there already is taken as this work's own, which is how interrupted
    work is taken up again. `path` is a draft that becomes the key's file once `work` returns;
    work with more to leave writes that first, under names of its own, and the file last.
    `noting`: what the work counts with `runtime.progress.note` as it goes.

    Work for a cluster must go through cloudpickle; work that is part of such work is done where
    it stands. Raises what `work` raises as HoldfastError, BucketError for a key that fails twice
    or keeps killing its worker, ClusterError, OutputError.
    """
    task = Task(work, staging, suffix, label, unit)
    paths = [task.path(key) for key in keys]
    todo = [key for key, path in zip(keys, paths, strict=True) if not path.exists()]
    with progress(label, len(keys), f"{unit}s", noting) as advance:
        advance(len(keys) - len(todo))
        if todo:
            with connected(InProcess(1) if at_work() else cluster) as started:
                started.carry_out(task, todo, advance)
    _remove_leftovers(staging, paths)
    return paths


def _remove_leftovers(staging: Path, paths: Sequence[Path]) -> None:
    """What killed processes have left: their orders, and drafts of what is finished now."""
    names = {path.name for path in paths}
    for draft in staging.glob(".*.draft"):
        if draft.name[1:].removesuffix(".draft").rpartition(".")[0] in names:
            draft.unlink(missing_ok=True)
    for order in staging.glob(f".*{ORDER_SUFFIX}"):
        order.unlink(missing_ok=True)


def frames(paths: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """The staged frames, one in memory at a time."""
    for path in paths:
        yield pl.read_parquet(path)
