"""The events table laid out anew: one sorted file a bucket, and as many buckets as suit it.

Small ingests leave many files a bucket; a log that grows makes its buckets too large. Both are
put right by one commit, which names the new files and records the number of buckets: readers
see the old layout or the new one, and so does whoever comes after a kill. Finished files carry
names made of what they were written from, so that a run that was cut off is taken up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from events.contract import EVENTS
from events.layout import MOST_BUCKETS, buckets_for
from events.staging import bucket_of
from events.store import BUCKETS, CPU, events_path
from events.users import users_path
from runtime.collect import collect
from runtime.errors import UsageError
from runtime.files import digest_of, remove_folder, write_atomic
from runtime.lock import writing_to
from runtime.progress import Advance, progress
from runtime.settings import Settings
from runtime.tables import (
    Part,
    Table,
    TableKind,
    commit,
    exists,
    find_part,
    open_table,
    rewrite,
    stored_kind,
    vacuum,
    write_part,
)

SLICE_ROWS = 1 << 20
LEAST_ROW_GROUP = 1 << 12


@dataclass(frozen=True)
class OptimizeResult:
    """Files are those of the events table; `files_deleted`: of older versions, users' too."""

    rows: int
    buckets_before: int | None
    buckets: int
    files_before: int
    files: int
    files_deleted: int
    version: int


@dataclass(frozen=True)
class _Piece:
    """A slice of one of the table's files, on its way to other buckets."""

    path: Path
    source: Path
    first_row: int
    rows: int
    bucket: int  # the one it comes from


def optimize(settings: Settings, buckets: int | None = None) -> OptimizeResult:
    """Compacts the log, and parts it into `buckets` (default: those of the settings, else twice
    as many as often as it has outgrown them). Versions before this one can be read no more.

    Memory: a bucket, or SLICE_ROWS rows, and the users table. Disk: twice the log while it is
    parted anew. Raises StoreError, UsageError, OutputError.
    """
    open_table(events_path(settings), EVENTS)  # no store is made where there is none
    with writing_to(settings.store):
        return _optimize(settings, buckets)


def _optimize(settings: Settings, asked: int | None) -> OptimizeResult:
    path = events_path(settings)
    table = open_table(path, EVENTS, [BUCKETS])
    before, target = table.numbers[BUCKETS], _target(settings, asked, table)
    if before == target:
        add, remove = _compacted(table)
    else:
        add, remove = _parted(settings, table, before, target), table.files_of()
    if remove or before != target:
        commit(path, EVENTS, add, remove, numbers={BUCKETS: target}, since=table.version)
    _part_users(settings, target)
    deleted = vacuum(path) + vacuum(users_path(settings))
    _keep_only(settings, None)
    after = open_table(path, EVENTS)
    return OptimizeResult(
        rows=after.rows(),
        buckets_before=before,
        buckets=target,
        files_before=len(table.files),
        files=len(after.files),
        files_deleted=deleted,
        version=after.version,
    )


def _target(settings: Settings, asked: int | None, table: Table) -> int:
    """Raises UsageError for a number out of bounds or at odds with the settings."""
    named = "buckets" in settings.events.model_fields_set
    meant = settings.events.buckets if named else None
    if asked is not None and not 1 <= asked <= MOST_BUCKETS:
        raise UsageError(f"--buckets {asked}: name a number from 1 to {MOST_BUCKETS:,}")
    if asked is not None and meant is not None and asked != meant:
        raise UsageError(
            f"--buckets {asked}: the settings ask for events.buckets = {meant}; change it there, "
            "or leave it out there"
        )
    return asked or meant or max(table.numbers[BUCKETS] or 1, buckets_for(table.rows()))


def _compacted(table: Table) -> tuple[list[Part], list[Path]]:
    """A file for each bucket that lies in several, and those several."""
    found = sorted(int(bucket) for bucket in table.partitions("bucket"))
    scattered = [bucket for bucket in found if not table.in_one_file(bucket=bucket)]
    add: list[Part] = []
    remove: list[Path] = []
    with progress("compacting", len(scattered)) as advance:
        for bucket in scattered:
            files = table.files_of(bucket=bucket)
            name = f"all-{digest_of([file.name for file in files])}"
            add += _part(table.path, name, bucket, table.scan(bucket=bucket))
            remove += files
            advance()
    return add, remove


def _part(path: Path, name: str, bucket: int, plan: pl.LazyFrame) -> Iterator[Part]:
    """The bucket's file; none where it has no rows."""
    if found := find_part(path, EVENTS, name, bucket=bucket):
        yield found
        return
    rows = collect(plan, CPU)
    if rows.height:
        yield write_part(path, EVENTS, rows, name, bucket=bucket)


def _parted(settings: Settings, table: Table, before: int | None, target: int) -> list[Part]:
    """The files of all new buckets."""
    digest = digest_of([[file.name for file in table.files_of()], target, SLICE_ROWS])
    staging = settings.store / ".staging" / f"optimize-{digest}"
    _keep_only(settings, staging)
    pieces = list(_pieces(table, staging))
    with progress(f"parting in {target}", 2 * table.rows(), "rows") as advance:
        for piece in pieces:
            if not piece.path.exists():
                _write_piece(piece, target)
            advance(piece.rows)
        return list(_merged(table, pieces, f"parted-{digest}", before, target, advance))


def _pieces(table: Table, staging: Path) -> Iterator[_Piece]:
    files = zip(table.files, table.counts, strict=True)
    for number, ((file, values), rows) in enumerate(files):
        for first in range(0, rows, SLICE_ROWS):
            name = f"{number:06d}-{first // SLICE_ROWS:06d}.parquet"
            held = min(SLICE_ROWS, rows - first)
            yield _Piece(staging / name, file, first, held, int(values["bucket"] or 0))


def _write_piece(piece: _Piece, target: int) -> None:
    """The slice's rows by their new bucket, so that a reader of one skips the others."""
    plan = pl.scan_parquet(piece.source, glob=False, hive_partitioning=False)
    rows = collect(plan.slice(piece.first_row, piece.rows), CPU)
    parted = rows.with_columns(bucket_of(target)).sort("bucket", maintain_order=True)
    group = max(LEAST_ROW_GROUP, SLICE_ROWS // target)
    write_atomic(
        piece.path,
        lambda draft: parted.write_parquet(draft, compression="lz4", row_group_size=group),
    )


def _merged(
    table: Table,
    pieces: Sequence[_Piece],
    name: str,
    before: int | None,
    target: int,
    advance: Advance,
) -> Iterator[Part]:
    """A file for each new bucket that has rows.

    A hash h is in the old bucket h mod n and in the new one h mod m, so the two are equal modulo
    the greatest common divisor of n and m: the pieces of all other old buckets need no look.
    """
    common = math.gcd(before, target) if before else 1
    for bucket in range(target):
        paths = [p.path for p in pieces if p.bucket % common == bucket % common]
        if not paths:
            continue
        rows = pl.scan_parquet(paths, glob=False).filter(pl.col("bucket") == bucket)
        for part in _part(table.path, name, bucket, rows):
            advance(part.rows)
            yield part


def _part_users(settings: Settings, buckets: int) -> None:
    """Until this is done `scan_users` reads all users for each bucket, so none is missed."""
    path = users_path(settings)
    if not exists(path):
        return
    kind = stored_kind(path)
    table = open_table(path, kind, [BUCKETS])
    if table.numbers[BUCKETS] == buckets:
        return
    users = collect(table.scan(), CPU).with_columns(bucket_of(buckets))
    rewrite(path, kind, _by_bucket(users, kind), {BUCKETS: buckets})


def _by_bucket(users: pl.DataFrame, kind: TableKind) -> Iterator[pl.DataFrame]:
    order = [name for name in ("user_id", "valid_from") if name in kind.schema]
    for _, part in sorted(users.partition_by("bucket", as_dict=True).items()):
        yield part.sort(order)


def _keep_only(settings: Settings, staging: Path | None) -> None:
    """Removes what earlier runs have left of other work."""
    for folder in (settings.store / ".staging").glob("optimize-*"):
        if folder != staging:
            remove_folder(folder)
