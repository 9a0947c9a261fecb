"""Sequences on disk: flat arrays in uncompressed Arrow files that are mapped, not read.

A column of such a file is a plain array of its type somewhere in the file, so the mapping is
the array: opening costs no memory, and numpy, and PyTorch from numpy, use it where it lies.

The mapping is copy-on-write: writing to an array changes this process's view and never the
file. A mapping that cannot be written would crash the process that writes to a tensor of it,
as PyTorch knows no tensor that cannot be written.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from events.contract import TIME
from features.sequences import ARRAYS, MARKS, VERSION
from features.time import Cutoff
from runtime.errors import StoreError

Arrays = dict[str, NDArray[Any]]
Types = Mapping[str, np.dtype[Any]]
EVENTS: dict[str, np.dtype[Any]] = {
    name: pl.Series(dtype=held).to_numpy().dtype for name, held in (ARRAYS | MARKS).items()
}
INDEX: dict[str, np.dtype[Any]] = {
    "user": np.dtype(np.int32),
    "begin": np.dtype(np.int64),
    "end": np.dtype(np.int64),
    "eligible": np.dtype(np.int8),
}
POOL = "buckets"  # the folder of the files, which several manifests beside it may name


def write_batches(path: Path, types: Types, batches: Iterable[Arrays]) -> None:
    """One Arrow file; each batch lies in it as one piece, and one is in memory at a time."""
    schema = pa.schema([pa.field(n, pa.from_numpy_dtype(t), False) for n, t in types.items()])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            columns = [pa.array(batch[n].astype(t, copy=False)) for n, t in types.items()]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def map_batches(path: Path) -> list[Arrays]:
    """The batches of such a file, as arrays that lie in a mapping of it."""
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    whole = pa.py_buffer(mapping)
    reader = pa.ipc.open_file(pa.BufferReader(whole))
    batches = (reader.get_batch(k) for k in range(reader.num_record_batches))
    return [
        {name: _view(mapping, whole.address, batch.column(name)) for name in reader.schema.names}
        for batch in batches
    ]


def _view(mapping: mmap.mmap, address: int, column: pa.Array) -> NDArray[Any]:
    dtype = np.dtype(column.type.to_pandas_dtype())
    if not len(column):
        return np.empty(0, dtype)
    return np.frombuffer(mapping, dtype, len(column), column.buffers()[1].address - address)


def write_users(path: Path, users: pl.DataFrame) -> None:
    """`user_id`, sorted, and `first`, `last`: of each the events lie in [first, last)."""
    users.write_ipc(path, compression="uncompressed")


def map_users(path: Path) -> pl.DataFrame:
    return pl.read_ipc(path, memory_map=True)


@dataclass(frozen=True)
class BucketSequences:
    """The events of a bucket, and the slices of them that are sequences.

    arrays    features.sequences.ARRAYS and MARKS, each of shape (n_rows,), mapped
    index     for each cutoff, in order, `user`, `begin`, `end`, `eligible`, each of shape
              (n_sequences,), mapped: the sequence is arrays[name][begin:end]; `user` is the
              place among `users`; `eligible` is 1 for those who are scored at the cutoff
    """

    bucket: int
    arrays: Arrays
    index: tuple[Arrays, ...]
    cutoffs: tuple[Cutoff, ...]
    users_path: Path

    @cached_property
    def users(self) -> pl.Series:
        """Every `user_id` of the bucket, sorted; with an event before the as-of."""
        return map_users(self.users_path)["user_id"]

    def frame(self) -> pl.DataFrame:
        """A row a sequence: `bucket`, `cutoff`, `user_id`, `begin`, `end`, `eligible`, sorted by
        cutoff and user; to join labels to."""
        return pl.concat(map(self._at, self.cutoffs, self.index))

    def _at(self, cutoff: Cutoff, index: Arrays) -> pl.DataFrame:
        return pl.DataFrame({name: index[name] for name in INDEX}).select(
            pl.lit(self.bucket, dtype=pl.Int32).alias("bucket"),
            pl.lit(cutoff.at, dtype=TIME).alias("cutoff"),
            pl.lit(self.users).gather(pl.col("user")).alias("user_id"),
            "begin",
            "end",
            pl.col("eligible") == 1,
        )


@dataclass(frozen=True)
class Sequences:
    """What a manifest names; the files are mapped where a bucket is asked for.

    manifest    digest, as_of, timezone, length, cutoffs, kinds, channels, arrays (name to
                type), rows, copies, users, sequences, buckets
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def length(self) -> int:
        return int(self.manifest["length"])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of code 1, 2 and so on; 0 is every other."""
        return tuple(self.manifest["kinds"])

    @property
    def channels(self) -> tuple[str, ...]:
        """Those of code 2, 3 and so on; 1 is every other, 0 none."""
        return tuple(self.manifest["channels"])

    @cached_property
    def cutoffs(self) -> tuple[Cutoff, ...]:
        return tuple(Cutoff(datetime.fromisoformat(text)) for text in self.manifest["cutoffs"])

    @cached_property
    def buckets(self) -> tuple[int, ...]:
        return tuple(found["bucket"] for found in self.manifest["buckets"])

    def bucket(self, bucket: int) -> BucketSequences:
        """Raises StoreError where the manifest has no such bucket."""
        if bucket not in self.buckets:
            raise StoreError(
                f"{self.path}: has no bucket {bucket}; it has {len(self.buckets)}, from "
                f"{min(self.buckets, default=0)} to {max(self.buckets, default=0)}"
            )
        found = self.manifest["buckets"][self.buckets.index(bucket)]
        names = {kind: self.path.parent / POOL / name for kind, name in found["files"].items()}
        (arrays,) = map_batches(names["events"])
        index = tuple(map_batches(names["index"]))
        return BucketSequences(bucket, arrays, index, self.cutoffs, names["users"])

    def frame(self, buckets: Sequence[int] | None = None) -> pl.DataFrame:
        """The frames of the buckets (all when left out), one below the other, in their order."""
        wanted = self.buckets if buckets is None else buckets
        return pl.concat([self.bucket(bucket).frame() for bucket in wanted])


def open_sequences(path: Path) -> Sequences:
    """The sequences of a manifest, of whose files only the sizes are looked at.

    Raises StoreError where it is missing or of another version, or a file is not whole.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"{path}: no sequences here; make them with 'holdfast snapshot'") from None
    if not isinstance(manifest, dict) or manifest.get("holdfast") != "sequences":
        raise StoreError(f"{path}: is not a manifest of sequences; name another file")
    if manifest.get("version") != VERSION:
        raise StoreError(
            f"{path}: has version {manifest.get('version')}, this Holdfast reads version "
            f"{VERSION}; make the sequences anew"
        )
    for found in manifest["buckets"]:
        for kind, name in found["files"].items():
            _require_whole(path.parent / POOL / name, found["bytes"][kind], path)
    return Sequences(path, manifest)


def _require_whole(file: Path, size_bytes: int, manifest: Path) -> None:
    there = file.stat().st_size if file.exists() else None
    if there != size_bytes:
        told = "is missing" if there is None else f"has {there:,} bytes instead of {size_bytes:,}"
        raise StoreError(f"{file}: {told}; remove it and {manifest.name}, and make them anew")
