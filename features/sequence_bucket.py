"""Writes one bucket's sequences: its users, its events in order, and the index of each cutoff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from events.contract import TIME
from features.attributes import valid_at
from features.eligible import eligible_at, with_dates
from features.sequence_files import (
    EVENTS,
    INDEX,
    Arrays,
    map_batches,
    map_users,
    write_batches,
    write_users,
)
from features.sequence_index import NEVER, SliceFinder, Slices
from features.sequences import sequence_plan
from features.spec import FeatureSpec
from features.time import Cutoff, at_instant
from runtime.collect import collect
from runtime.device import Device
from runtime.files import remove_drafts, write_atomic

CPU = Device("cpu", "a look at the log")


@dataclass(frozen=True)
class BucketFiles:
    """Where a bucket's events, users and index lie, or will."""

    events: Path
    users: Path
    index: Path
    late: bool  # whether the events hold copies, which belong to these cutoffs alone

    @property
    def paths(self) -> dict[str, Path]:
        return {"events": self.events, "users": self.users, "index": self.index}

    @property
    def there(self) -> bool:
        return all(path.exists() for path in self.paths.values())


def write_bucket(
    files: BucketFiles,
    events: pl.LazyFrame,
    users: pl.LazyFrame | None,
    spec: FeatureSpec,
    cutoffs: Sequence[Cutoff],
    length: int,
    device: Device,
) -> None:
    """Writes what is not there. `events`: the bucket's rows of the log known at its as-of."""
    for path in files.paths.values():
        remove_drafts(path)
    kept = not files.late and files.events.exists() and files.users.exists()
    rows, people = _mapped(files) if kept else _sorted(events, spec, device)
    finder = SliceFinder(rows, cutoffs, length)
    slices = _batches(finder, cutoffs, people, users, spec)
    write_atomic(files.index, lambda draft: write_batches(draft, INDEX, slices))
    if kept:
        return
    write_atomic(files.users, lambda draft: write_users(draft, people))
    found = _with_copies(rows, finder)
    write_atomic(files.events, lambda draft: write_batches(draft, EVENTS, [found]))


def receipt(bucket: int, files: BucketFiles) -> pl.DataFrame:
    """One row that tells of the files: `bucket`, counts, and of each its name and size."""
    (events,) = map_batches(files.events)
    users = map_users(files.users)
    sorted_rows = int(users["last"].to_numpy().max(initial=0))
    found = {
        "bucket": bucket,
        "rows": len(events["ts"]),
        "copies": len(events["ts"]) - sorted_rows,
        "users": users.height,
        "sequences": sum(len(slices["user"]) for slices in map_batches(files.index)),
        "files": {kind: path.name for kind, path in files.paths.items()},
        "bytes": {kind: path.stat().st_size for kind, path in files.paths.items()},
    }
    return pl.DataFrame([found])


def _mapped(files: BucketFiles) -> tuple[Arrays, pl.DataFrame]:
    """What is written already, with what follows from it; no row of it is late."""
    (rows,) = map_batches(files.events)
    users = map_users(files.users)
    numbers = np.repeat(np.arange(users.height), (users["last"] - users["first"]).to_numpy())
    return rows | {"number": numbers, "known": rows["ts"]}, users


def _sorted(events: pl.LazyFrame, spec: FeatureSpec, device: Device) -> tuple[Arrays, pl.DataFrame]:
    rows = collect(sequence_plan(events, spec), device).rechunk()
    placed = rows.lazy().select("user_id", "number").with_row_index("place")
    people = placed.group_by("number").agg(
        pl.col("user_id").first(),
        first=pl.col("place").min().cast(pl.Int64),
        last=pl.col("place").max().cast(pl.Int64) + 1,
    )
    users = collect(people.sort("number").drop("number"), CPU)
    return {name: rows[name].to_numpy() for name in rows.columns if name != "user_id"}, users


def _with_copies(rows: Arrays, finder: SliceFinder) -> Arrays:
    places, gaps = finder.copies()
    if not len(places):
        return rows
    copies = {name: rows[name][places] for name in EVENTS} | {"gap": gaps}
    return {name: np.concatenate((rows[name], copies[name])) for name in EVENTS}


def _dates(
    people: pl.DataFrame, users: pl.LazyFrame | None, cutoff: Cutoff, spec: FeatureSpec
) -> pl.DataFrame:
    """What eligibility reads of the users table as it was at the cutoff, by number; without
    columns where nothing."""
    users = None if users is None else valid_at(users, cutoff.at)
    numbered = people.lazy().select("user_id").with_row_index("number")
    dated = collect(with_dates(numbered, users, spec.definitions).sort("number"), CPU)
    return dated.drop("number", "user_id")


def _batches(
    finder: SliceFinder,
    cutoffs: Sequence[Cutoff],
    people: pl.DataFrame,
    users: pl.LazyFrame | None,
    spec: FeatureSpec,
) -> Iterator[Arrays]:
    for cutoff, slices in zip(cutoffs, finder.slices(), strict=True):
        dates = _dates(people, users, cutoff, spec)
        found = _eligible(cutoff, slices, dates, spec)
        yield {"user": slices.users, "begin": slices.begin, "end": slices.end, "eligible": found}


def _eligible(
    cutoff: Cutoff, slices: Slices, dates: pl.DataFrame, spec: FeatureSpec
) -> NDArray[np.int8]:
    """0 or 1, shape (n_sequences,): as `eligible_plan` says, from what the slices know already."""
    latest = pl.DataFrame({f"last_{name}": found for name, found in slices.latest.items()})
    instants = latest.select(pl.when(pl.all() != NEVER).then(pl.all()).cast(TIME).name.keep())
    known = dates[slices.users] if dates.width else dates
    plan = instants.with_columns(known.get_columns()).lazy().with_columns(cutoff=at_instant(cutoff))
    eligible = eligible_at(spec.definitions).cast(pl.Int8).alias("eligible")
    return collect(plan.with_columns(eligible), CPU)["eligible"].to_numpy()
