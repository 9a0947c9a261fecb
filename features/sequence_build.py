"""Builds sequences, a bucket at a time, and writes the manifest by which they are opened.

Each file is named after everything it depends on, so one that is there is right: interrupted
work is taken up where it stopped, and neither new files in other buckets nor other cutoffs
write the events of a bucket anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from events.store import EventStore
from events.users import USERS, scan_users, users_path
from features.matured import require_history
from features.sequence_bucket import BucketFiles, receipt, write_bucket
from features.sequence_files import EVENTS, POOL, open_sequences
from features.sequences import VERSION
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.buckets import frames, map_buckets
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, StoreError, UsageError
from runtime.files import digest_of, remove_folder, write_json
from runtime.lock import writing_to
from runtime.progress import say
from runtime.settings import Settings
from runtime.tables import exists, open_table

CPU = Device("cpu", "a look at the log")


@dataclass(frozen=True)
class SequencesInfo:
    """`path` is the manifest, for `open_sequences`; `rows` counts the events, copies included."""

    path: Path
    digest: str
    rows: int
    users: int
    sequences: int
    cutoffs: tuple[Cutoff, ...]
    length: int


@dataclass(frozen=True)
class _Work:
    settings: Settings
    store: EventStore
    cutoffs: tuple[Cutoff, ...]
    spec: FeatureSpec
    device: Device
    length: int

    @property
    def pool(self) -> Path:
        return self.settings.store / "sequences" / POOL

    @property
    def definitions(self) -> dict[str, Any]:
        return self.spec.definitions.to_dict()


def build_sequences(
    settings: Settings,
    store: EventStore,
    cutoffs: Sequence[Cutoff],
    spec: FeatureSpec,
    device: Device,
    length: int,
    cluster: Cluster = IN_PROCESS,
) -> SequencesInfo:
    """The last `length` events at each cutoff of everyone with one before it: written, or found.

    Raises LabelError for a cutoff before the log or after the store's as-of, UsageError for a
    length below 1, StoreError where the definitions need a users table that is not there.
    """
    work = _Work(settings, store, tuple(sorted(set(cutoffs))), spec, device, length)
    _check(work)
    digest = _digest(work)
    path = work.pool.parent / f"{digest}.json"
    if path.exists():
        say(f"sequences {digest}: already there, used as they are")
    else:
        _build(work, path, digest, cluster)
    found = open_sequences(path).manifest
    counts = (found["rows"], found["users"], found["sequences"])
    return SequencesInfo(path, digest, *counts, work.cutoffs, length)


def _check(work: _Work) -> None:
    if work.length < 1:
        raise UsageError(f"sequences of {work.length} events: name at least 1")
    for cutoff in work.cutoffs:
        require_history(work.store, cutoff)
        if cutoff.at > work.store.as_of:
            raise LabelError(
                f"cutoff {show(cutoff.at)}: lies after the as-of, {show(work.store.as_of)}; "
                "choose an earlier instant"
            )
    users = users_path(work.settings)
    if work.spec.definitions.churn.date_column and not exists(users):
        raise StoreError(
            f"{users}: there is no users table, which eligibility needs; name it under [users] "
            "and ingest"
        )


def _digest(work: _Work) -> str:
    return digest_of(
        {
            "version": VERSION,
            "events": [path.name for path, _ in work.store.table.files],
            "as_of": show(work.store.as_of),
            "codes": _codes(work),
            "index": _of_the_index(work),
            **({"buckets": work.store.buckets} if work.store.is_sample else {}),
        }
    )


def _codes(work: _Work) -> dict[str, Any]:
    """What the values of an event depend on beside its own row and the user's before it."""
    churn, activity = work.definitions["churn"], work.definitions["activity"]
    return {
        "version": VERSION,
        "kinds": list(work.spec.events),
        "channels": list(work.spec.channels),
        "timezone": work.spec.timezone,
        "marks": {"activity": activity, "churn": churn["events"]},
    }


def _of_the_index(work: _Work) -> dict[str, Any]:
    dated = work.spec.definitions.churn.date_column is not None
    users = open_table(users_path(work.settings), USERS).files if dated else ()
    return {
        "cutoffs": [show(cutoff.at) for cutoff in work.cutoffs],
        "length": work.length,
        "definitions": work.definitions,
        "users": [path.name for path, _ in users],
    }


def _build(work: _Work, path: Path, digest: str, cluster: Cluster) -> None:
    staging = work.settings.store / ".staging" / f"sequences-{digest}"
    with writing_to(staging):
        staged = map_buckets(
            partial(_bucket, work), work.store.buckets, staging, "sequences", cluster
        )
        receipts = pl.concat(frames(staged)) if staged else pl.DataFrame()
        write_json(path, _manifest(work, digest, receipts))
        remove_folder(staging)


def _manifest(work: _Work, digest: str, receipts: pl.DataFrame) -> dict[str, Any]:
    totals = ("rows", "copies", "users", "sequences")
    return {
        "holdfast": "sequences",
        "version": VERSION,
        "digest": digest,
        "as_of": work.store.as_of.astimezone(UTC).isoformat(),
        "timezone": work.spec.timezone,
        "length": work.length,
        "cutoffs": [cutoff.at.astimezone(UTC).isoformat() for cutoff in work.cutoffs],
        "kinds": list(work.spec.events),
        "channels": list(work.spec.channels),
        "arrays": {name: str(dtype) for name, dtype in EVENTS.items()},
        **{name: int(receipts[name].sum()) for name in totals},
        "buckets": receipts.to_dicts(),
    }


def _bucket(work: _Work, bucket: int) -> pl.DataFrame:
    """Writes the files of a bucket that are not there; one row that tells of them."""
    files = _files(work, bucket)
    if not files.there:
        events, users = work.store.scan(bucket), scan_users(work.settings, bucket)
        write_bucket(files, events, users, work.spec, work.cutoffs, work.length, work.device)
    return receipt(bucket, files)


def _files(work: _Work, bucket: int) -> BucketFiles:
    """The as-of counts for a bucket only where it cuts it, so that a later one changes nothing."""
    columns = work.store.table.scan(bucket=bucket)
    late = pl.lit(value=False)
    cut = pl.col("ts") >= work.store.as_of
    if "received" in columns.collect_schema():
        late = pl.col("received") > pl.col("ts")
        cut |= (pl.col("received") >= work.store.as_of).fill_null(value=False)
    seen = collect(columns.select(cut=cut.any(), late=late.any()), CPU).row(0, named=True)
    mine = [p.name for p, values in work.store.table.files if values["bucket"] == str(bucket)]
    index = _of_the_index(work)
    events = digest_of(
        {
            "files": mine,
            "as_of": show(work.store.as_of) if seen["cut"] else None,
            "codes": _codes(work),
            "copies": [index["cutoffs"], index["length"]] if seen["late"] else None,
        }
    )
    named = digest_of({"events": events, "index": index})
    return BucketFiles(
        work.pool / f"{bucket:05d}-{events}-events.arrow",
        work.pool / f"{bucket:05d}-{events}-users.arrow",
        work.pool / f"{bucket:05d}-{named}-index.arrow",
        bool(seen["late"]),
    )
