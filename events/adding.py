"""Staged rows into the events table: bucket by bucket sorted and told apart, in one commit.

The files of a bucket are named after all that is staged and stored, so a run that was cut off
is taken up, whoever wrote them; what nobody takes up is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from events.bucketed import Bucketed
from events.contract import EVENTS
from events.duplicates import Mode, new_rows
from events.mapping import ROW_COLUMNS, Constants
from events.staging import Staged
from runtime.buckets import map_work
from runtime.cluster import Cluster
from runtime.files import digest_of, remove_folder
from runtime.parts import Part, Table, write_part
from runtime.progress import note
from runtime.tables import commit

GROUP_ROWS = 1 << 20


@dataclass(frozen=True)
class _Pieces:
    """The staged files: each part with the constants of its own; `shared`: those of all."""

    parts: tuple[tuple[Bucketed, Constants], ...]
    shared: Constants


@dataclass(frozen=True)
class _Adding:
    """All that the new files of the table at `path` depend on; `name`: what they are called."""

    path: Path
    name: str
    pieces: _Pieces
    groups: tuple[range, ...]
    stored: Table | None
    mode: Mode


def add_staged(
    path: Path,
    staged: Sequence[Staged],
    stored: Table | None,
    buckets: int,
    mode: Mode,
    keys: Sequence[str],
    numbers: dict[str, int],
    staging: Path,
    cluster: Cluster,
) -> int:
    """Adds to the table at `path` the rows that are new beside `stored`; how many those are.

    One commit makes the files of all buckets a version, and records `keys` and `numbers`.
    Memory: a group of buckets for each that is worked on at once. Raises what `map_work` raises.
    """
    held = sorted(file.name for file in stored.files_of()) if stored else []
    inputs = [sorted(file.summary.folder.partition(".")[0] for file in staged), held, mode, buckets]
    pieces = _pieces(staged)
    groups = tuple(_groups(pieces, buckets))
    job = _Adding(path, f"added-{digest_of([*inputs, GROUP_ROWS])}", pieces, groups, stored, mode)
    discard_unfinished(path, stored, staging, but=job.name)
    work, folder = partial(_add_group, job), staging / job.name
    done = map_work(work, range(len(groups)), folder, ".json", "adding", cluster, "group", "rows")
    parts = [part for file in done for part in _parts_in(file)]
    commit(path, EVENTS, parts, (), keys, numbers)
    return sum(part.rows for part in parts)


def discard_unfinished(
    path: Path, stored: Table | None, staging: Path, but: str | None = None
) -> None:
    """Deletes what earlier runs wrote beside the table's `stored` version and did not commit."""
    held = {file.name for file in stored.files_of()} if stored else set()
    for folder in staging.glob("added-*/"):
        if folder.name != but:
            if f"{folder.name}.parquet" not in held:
                for file in path.glob(f"bucket=*/{folder.name}.parquet"):
                    file.unlink(missing_ok=True)
            remove_folder(folder)


def _add_group(job: _Adding, group: int, done: Path) -> None:
    """The buckets' files beside those of the table, then their list at `done`."""
    parts = list(_parts_of(job, job.groups[group]))
    said = [asdict(part) | {"path": part.path.as_posix()} for part in parts]
    done.write_text(json.dumps(said), encoding="utf-8")


def _parts_of(job: _Adding, group: range) -> Iterator[Part]:
    for fresh in _new_in(job.pieces, group, job.stored, job.mode):
        bucket = fresh["bucket"][0]
        yield write_part(job.path, EVENTS, fresh, job.name, is_sorted=True, bucket=bucket)
        note(fresh.height)


def _parts_in(file: Path) -> Iterable[Part]:
    for said in json.loads(file.read_text(encoding="utf-8")):
        yield Part(**said | {"path": Path(said["path"])})


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
