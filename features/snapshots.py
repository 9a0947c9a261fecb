"""Snapshots: the features, and where wanted the labels, of all eligible users at some cutoffs.

A table is named after what is computed, each bucket's file in it after what it is computed
from. So what is there is right, an interrupted table is taken up where it stopped, and new
events cost the buckets that they fell into.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from events.contract import TIME
from events.store import EventStore, open_store
from events.users import VALID_FROM, scan_users, users_files
from features.compute import Job, bucket_rows
from features.definitions import Definitions
from features.dictionary import dictionary
from features.learn import learn_spec, require_users
from features.matured import require_history, require_matured
from features.plan import VERSION
from features.spec import FeatureSpec
from features.steps import labelled_until, shortened
from features.time import Cutoff
from runtime.buckets import map_work
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import digest_of, remove_folder
from runtime.lock import writing_to
from runtime.parts import Part, TableKind, write_part
from runtime.progress import say
from runtime.settings import Settings
from runtime.tables import commit, exists, open_table

CPU = Device("cpu", "a look at the snapshots")


@dataclass(frozen=True)
class Snapshots:
    """A Delta table with a row for each cutoff and eligible user: `cutoff`, `user_id`, the
    features, `churn` (Int8) and `value` (Float64), null where not labelled, and `bucket`; with
    steps also the labels by the end of each.

    `digest` names its contents: the features, and the files of the log they are computed from.
    """

    path: Path
    digest: str
    rows: int
    features: tuple[str, ...]
    cutoffs: tuple[Cutoff, ...]
    kind: TableKind
    buckets_computed: int


def build_snapshots(
    settings: Settings,
    store: EventStore,
    cutoffs: Sequence[Cutoff],
    spec: FeatureSpec,
    device: Device,
    labelled: bool,
    cluster: Cluster = IN_PROCESS,
    steps: tuple[int, ...] = (),
) -> Snapshots:
    """Computes the buckets of the table that are not there already.

    Raises LabelError for a cutoff before the log, for one without a matured label (with `steps`,
    of the first) where `labelled`, and where nobody is eligible; StoreError where the spec needs
    a users table that is not there; BucketError, ClusterError.
    """
    job = Job(settings, store, tuple(sorted(set(cutoffs))), spec, device, labelled, steps)
    _check(job)
    named = _table_digest(job)
    path, kind = settings.store / "snapshots" / named, _kind(spec, steps)
    wanted = _bucket_digests(job, named)
    computed = _complete(job, path, kind, wanted, cluster)
    rows = open_table(path, kind).rows()
    if rows == 0:
        raise LabelError(_nobody(job))
    digest = digest_of([named, sorted(wanted.values())])
    features = tuple(dictionary(spec))
    return Snapshots(path, digest, rows, features, job.cutoffs, kind, computed)


def snapshot(
    settings: Settings,
    cutoffs: Sequence[datetime],
    as_of: datetime | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> Snapshots:
    """Features and labels at each cutoff; without any, the features alone at the as-of.

    Columns are learned from before the earliest of them. Raises LabelError, StoreError.
    """
    job = asked(settings, cutoffs, as_of, device)
    return build_snapshots(
        settings, job.store, job.cutoffs, job.spec, device, job.labelled, cluster
    )


def asked(
    settings: Settings, cutoffs: Sequence[datetime], as_of: datetime | None, device: Device
) -> Job:
    """What `snapshot` computes. Raises LabelError for a cutoff without a matured label."""
    store = open_store(settings, as_of)
    wanted = sorted({Cutoff(instant) for instant in cutoffs or [store.as_of]})
    for cutoff in wanted if cutoffs else ():
        require_matured(cutoff, store, settings)
    spec = learn_spec(store, wanted[0], settings)
    return Job(settings, store, tuple(wanted), spec, device, bool(cutoffs))


def read(snapshots: Snapshots, cutoffs: Sequence[Cutoff] | None = None) -> pl.DataFrame:
    """`cutoff`, `user_id`, features, `churn`, `value`: sorted by cutoff and user, so the same
    whatever the buckets. All cutoffs when left out."""
    rows = open_table(snapshots.path, snapshots.kind).scan()
    if cutoffs is not None:
        chosen = pl.Series([c.at for c in cutoffs], dtype=TIME).implode()
        rows = rows.filter(pl.col("cutoff").is_in(chosen))
    return collect(rows.sort("cutoff", "user_id"), CPU)


def _check(job: Job) -> None:
    asked = shortened(job.settings, job.steps[0]) if job.steps else job.settings
    for cutoff in job.cutoffs:
        if job.labelled:
            require_matured(cutoff, job.store, asked)
        else:
            require_history(job.store, cutoff)
    require_users(job.settings, job.spec)


def _table_digest(job: Job) -> str:
    """Names what is computed."""
    return digest_of(
        {
            "plan": VERSION,
            "spec": job.spec.digest,
            "features": list(dictionary(job.spec)),
            "definitions": Definitions.of(job.settings).to_dict(),
            "cutoffs": [show(cutoff.at) for cutoff in job.cutoffs],
            "labelled": job.labelled,
            **({"steps": _known_steps(job)} if job.steps else {}),
            # Beside the table of everyone: one would throw out what the other holds.
            **({"buckets": job.store.buckets} if job.store.is_sample else {}),
        }
    )


def _known_steps(job: Job) -> list[list[Any]]:
    """Each step with the cutoffs that have its labels."""
    latest = labelled_until(job.store, job.settings, job.steps)
    return [
        [days, [show(cutoff.at) for cutoff in job.cutoffs if cutoff.at <= until]]
        for days, until in zip(job.steps, latest, strict=True)
    ]


def _bucket_digests(job: Job, named: str) -> dict[int, str]:
    """Names what each bucket is computed from: the exact files of the log and of the users.

    No cutoff and no label reaches beyond the as-of; it is among it only where rows tell when
    they became known or valid.
    """
    store, users = job.store, scan_users(job.settings)
    timed = store.has_arrivals or (users is not None and VALID_FROM in users.collect_schema())
    found = {}
    for bucket in store.buckets:
        log = store.table.files_of(bucket=bucket)
        known = users_files(job.settings, bucket, store.parted_in) or []
        files = [[path.name for path in paths] for paths in (log, known)]
        found[bucket] = digest_of([named, *files, show(store.as_of) if timed else ""])
    return found


def _kind(spec: FeatureSpec, steps: tuple[int, ...] = ()) -> TableKind:
    whole = ("count", "flag")
    features = {
        name: pl.Int64() if feature.unit in whole else pl.Float64()
        for name, feature in dictionary(spec).items()
    }
    schema: dict[str, pl.DataType] = {"cutoff": TIME, "user_id": pl.String(), **features}
    for ending in ("", *(f"_{days}" for days in steps[:-1])):
        schema |= {f"churn{ending}": pl.Int8(), f"value{ending}": pl.Float64()}
    schema["bucket"] = pl.Int32()
    return TableKind("snapshots", 1, schema, partition_by=("bucket",))


def _complete(
    job: Job, path: Path, kind: TableKind, wanted: Mapping[int, str], cluster: Cluster
) -> int:
    """Brings the table to the wanted files; the number of buckets that were computed for it."""
    staging = job.settings.store / ".staging" / f"snapshots-{path.name}"
    with writing_to(staging):
        files = open_table(path, kind).files_of() if exists(path) else []
        names = set(wanted.values())
        there = {file.stem for file in files if file.stem in names}
        missing = [bucket for bucket, name in wanted.items() if name not in there]
        stale = [file for file in files if file.stem not in names]
        if missing:
            keys = {f"{bucket:05d}-{wanted[bucket]}": bucket for bucket in missing}
            work = partial(_write_bucket, job, path, kind, wanted, keys)
            paths = map_work(work, list(keys), staging, ".json", "snapshots", cluster)
        if missing or stale or not exists(path):
            commit(path, kind, [_part(p) for p in paths] if missing else [], stale)
        else:
            say(f"snapshots {path.name}: already there, used as they are")
        remove_folder(staging)
    return len(missing)


def _write_bucket(
    job: Job,
    path: Path,
    kind: TableKind,
    wanted: Mapping[int, str],
    keys: Mapping[str, int],
    key: str,
    said: Path,
) -> None:
    """Writes the bucket's file, and to `said` what Delta must know of it."""
    bucket = keys[key]
    frame = bucket_rows(job, bucket)
    part = write_part(path, kind, frame, wanted[bucket], bucket=bucket)
    facts = {"path": str(part.path), "rows": part.rows, "size_bytes": part.size_bytes}
    said.write_text(json.dumps(facts | {"partition": dict(part.partition)}), encoding="utf-8")


def _part(said: Path) -> Part:
    facts = json.loads(said.read_text(encoding="utf-8"))
    return Part(Path(facts["path"]), facts["partition"], facts["rows"], facts["size_bytes"])


def _nobody(job: Job) -> str:
    days = job.spec.definitions.eligible.within_days
    within = f" within {days} days" if days else ""
    shown = ", ".join(show(cutoff.at) for cutoff in job.cutoffs)
    return (
        f"no eligible user at {shown}: nobody was active{within} before; choose another as-of or "
        "widen [eligible] and [activity]"
    )
