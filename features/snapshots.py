"""Snapshots: the features, and where wanted the labels, of all eligible users at some cutoffs.

A snapshot table is named after everything it is computed from, so one that is there is right,
and an interrupted one is taken up where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from events.contract import TIME
from events.store import EventStore, open_store
from events.users import USERS, scan_users, users_path
from features.attributes import valid_before
from features.definitions import Definitions
from features.dictionary import dictionary
from features.labels import labels_of, require_matured
from features.plan import VERSION, prepared_plan
from features.prepare import prepare
from features.spec import FeatureSpec, learn_spec, require_history
from features.time import Cutoff
from runtime.buckets import frames, map_buckets
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError, StoreError
from runtime.files import digest_of, remove_folder
from runtime.lock import writing_to
from runtime.progress import say
from runtime.settings import Settings
from runtime.tables import TableKind, exists, open_table, replace

CPU = Device("cpu", "a look at the snapshots")


@dataclass(frozen=True)
class Snapshots:
    """A Delta table with a row for each cutoff and eligible user: `cutoff`, `user_id`, the
    features, `churn` (Int8) and `value` (Float64), null where not labelled, and `bucket`."""

    path: Path
    digest: str
    rows: int
    features: tuple[str, ...]
    cutoffs: tuple[Cutoff, ...]
    kind: TableKind


@dataclass(frozen=True)
class _Work:
    settings: Settings
    store: EventStore
    cutoffs: tuple[Cutoff, ...]
    spec: FeatureSpec
    device: Device
    labelled: bool


def build_snapshots(
    settings: Settings,
    store: EventStore,
    cutoffs: Sequence[Cutoff],
    spec: FeatureSpec,
    device: Device,
    labelled: bool,
) -> Snapshots:
    """Computes the table, or finds it already there.

    Raises LabelError for a cutoff before the log, for one without a matured label where
    `labelled`, and where nobody is eligible; StoreError where the spec needs a users table
    that is not there.
    """
    work = _Work(settings, store, tuple(sorted(set(cutoffs))), spec, device, labelled)
    _check(work)
    digest = _digest(work)
    path = settings.store / "snapshots" / digest
    kind = _kind(spec)
    if exists(path):
        say(f"snapshots {digest}: already there, used as they are")
    else:
        _build(work, path, kind)
    rows = collect(open_table(path, kind).scan().select(pl.len()), CPU).item()
    if rows == 0:
        raise LabelError(_nobody(work))
    return Snapshots(path, digest, rows, tuple(dictionary(spec)), work.cutoffs, kind)


def snapshot(
    settings: Settings, cutoffs: Sequence[datetime], as_of: datetime | None, device: Device
) -> Snapshots:
    """Features and labels at each cutoff; without any, the features alone at the as-of.

    Columns are learned from before the earliest of them. Raises LabelError, StoreError.
    """
    store = open_store(settings, as_of)
    wanted = [Cutoff(instant) for instant in cutoffs or [store.as_of]]
    for cutoff in wanted if cutoffs else ():
        require_matured(cutoff, store, settings)
    spec = learn_spec(store, min(wanted), settings)
    return build_snapshots(settings, store, wanted, spec, device, labelled=bool(cutoffs))


def read(snapshots: Snapshots, cutoffs: Sequence[Cutoff] | None = None) -> pl.DataFrame:
    """`cutoff`, `user_id`, features, `churn`, `value`: sorted by cutoff and user, so the same
    whatever the buckets. All cutoffs when left out."""
    return collect(_scan(snapshots, cutoffs).sort("cutoff", "user_id"), CPU)


def read_bucket(snapshots: Snapshots, bucket: int) -> pl.DataFrame:
    """One bucket's rows, in the same order."""
    return collect(_scan(snapshots, None, bucket=bucket).sort("cutoff", "user_id"), CPU)


def _scan(snapshots: Snapshots, cutoffs: Sequence[Cutoff] | None, **partition: int) -> pl.LazyFrame:
    rows = open_table(snapshots.path, snapshots.kind).scan(**partition)
    if cutoffs is None:
        return rows
    return rows.filter(pl.col("cutoff").is_in(pl.Series([c.at for c in cutoffs], dtype=TIME)))


def _check(work: _Work) -> None:
    for cutoff in work.cutoffs:
        if work.labelled:
            require_matured(cutoff, work.store, work.settings)
        else:
            require_history(work.store, cutoff)
    needs_users = work.spec.attributes or work.spec.definitions.churn.date_column
    if needs_users and not exists(users_path(work.settings)):
        raise StoreError(
            f"{users_path(work.settings)}: there is no users table, which the features need; "
            "name it under [users] and ingest"
        )


def _digest(work: _Work) -> str:
    """Names everything the rows depend on, the exact files of the log and of the users too."""
    users = users_path(work.settings)
    known = open_table(users, USERS).files if scan_users(work.settings) is not None else ()
    return digest_of(
        {
            "plan": VERSION,
            "spec": work.spec.to_dict(),
            "definitions": Definitions.of(work.settings).to_dict(),
            "cutoffs": [show(cutoff.at) for cutoff in work.cutoffs],
            "labelled": work.labelled,
            "as_of": show(work.store.as_of),
            "events": [path.name for path, _ in work.store.table.files],
            "users": [path.name for path, _ in known],
        }
    )


def _kind(spec: FeatureSpec) -> TableKind:
    whole = ("count", "flag")
    features = {
        name: pl.Int64() if feature.unit in whole else pl.Float64()
        for name, feature in dictionary(spec).items()
    }
    schema: dict[str, pl.DataType] = {"cutoff": TIME, "user_id": pl.String(), **features}
    schema |= {"churn": pl.Int8(), "value": pl.Float64(), "bucket": pl.Int32()}
    return TableKind("snapshots", 1, schema, partition_by=("bucket",))


def _build(work: _Work, path: Path, kind: TableKind) -> None:
    staging = work.settings.store / ".staging" / f"snapshots-{path.name}"
    with writing_to(staging):
        if not exists(path):
            staged = map_buckets(
                lambda bucket: _bucket(work, bucket), work.store.buckets, staging, "snapshots"
            )
            replace(path, kind, frames(staged), "true")
        remove_folder(staging)


def _bucket(work: _Work, bucket: int) -> pl.DataFrame:
    """All cutoffs of one bucket. Its events are sorted and marked once for all of them."""
    rows = collect(prepare(work.store.scan(bucket), work.spec), work.device).lazy()
    users = scan_users(work.settings, bucket)
    if users is not None:
        users = valid_before(users, work.store.as_of)  # labels read the latest of these
    plans = [_snapshot(work, cutoff, rows, users) for cutoff in work.cutoffs]
    found = [collect(plan, work.device) for plan in plans]
    return pl.concat(found).with_columns(bucket=pl.lit(bucket, dtype=pl.Int32))


def _snapshot(
    work: _Work, cutoff: Cutoff, rows: pl.LazyFrame, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    people = prepared_plan(rows, cutoff, work.spec, users)
    people = people.select(pl.lit(cutoff.at, dtype=TIME).alias("cutoff"), pl.all())
    if not work.labelled:
        absent = {"churn": pl.lit(None, dtype=pl.Int8), "value": pl.lit(None, dtype=pl.Float64)}
        return people.with_columns(**absent)
    labels = labels_of(
        rows, "number", cutoff, work.settings, users, has_amount=work.spec.has_amount
    )
    return people.join(labels, on="user_id", how="left")


def _nobody(work: _Work) -> str:
    days = work.spec.definitions.eligible.within_days
    within = f" within {days} days" if days else ""
    shown = ", ".join(show(cutoff.at) for cutoff in work.cutoffs)
    return (
        f"no eligible user at {shown}: nobody was active{within} before; choose another as-of or "
        "widen [eligible] and [activity]"
    )
