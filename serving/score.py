"""Scores of every eligible user as of an instant, bucket by bucket, in one commit.

A bucket's scores are staged under a name made of everything they depend on, so work that was
interrupted is taken up again; the table changes once, when all buckets are there. Scoring an
as-of again puts the same rows in the place of the old ones; other as-ofs are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

import polars as pl

from events.store import EventStore, open_store
from events.users import USERS, scan_users, users_path
from features.compute import Job, bucket_rows
from features.plan import VERSION
from features.sequence_now import bucket_sequences
from features.time import Cutoff
from runtime.buckets import frames, map_buckets
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.files import digest_of, remove_folder
from runtime.lock import writing_to
from runtime.progress import say
from runtime.settings import Settings
from runtime.tables import open_table, replace
from serving.fitness import require_fit
from serving.gate import Gate, pass_gate, record_gate
from serving.reasons import reasons
from serving.table import SCORES, as_of_key, scores_path
from training.model import Model
from training.runs import RunInfo, pick
from training.tracking import list_runs, load_model

CPU = Device("cpu", "a count of staged rows")
SLICE = 50_000  # users whose contributions are in memory at a time


@dataclass(frozen=True)
class ScoreResult:
    table: Path
    rows: int
    as_of: datetime
    model_run_id: str
    tracking: Gate


@dataclass(frozen=True)
class _Job:
    settings: Settings
    store: EventStore
    model: Model
    run: RunInfo
    device: Device

    @cached_property
    def digest(self) -> str:
        """Of all that the features depend on, the exact files of the log and the users too."""
        path = users_path(self.settings)
        users = open_table(path, USERS).files if scan_users(self.settings) is not None else ()
        return digest_of(
            {
                "plan": VERSION,
                "spec": self.model.spec.to_dict(),
                "as_of": show(self.store.as_of),
                "events": [file.name for file, _ in self.store.table.files],
                "users": [file.name for file, _ in users],
            }
        )


def score(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    *,
    despite_tracking: bool = False,
) -> ScoreResult:
    """Scores as of `as_of` (default: just after the last event) with a model (default: champion).

    Memory: a bucket's events and features, and the contributions of SLICE users.
    Raises ModelError for a model that is unknown, newer than the as-of or of other definitions,
    LabelError where nobody is eligible, TrackingError where the tracking of the newest days is
    broken and `[quality]` says to stop (not with `despite_tracking`), StoreError, OutputError.
    """
    store = open_store(settings, as_of)
    run = pick(list_runs(settings), model)
    loaded, run_id = load_model(settings, run.run_id)
    require_fit(loaded, run, store.as_of, settings)
    gate = pass_gate(settings, store, device, cluster, despite=despite_tracking)
    say(f"score: as of {show(store.as_of)}, model {run}, device {device.kind} ({device.reason})")
    with writing_to(settings.store):
        rows = _score(_Job(settings, store, loaded, run, device), cluster)
        record_gate(settings, gate)
    return ScoreResult(scores_path(settings), rows, store.as_of, run_id, gate)


def _score(job: _Job, cluster: Cluster) -> int:
    key = as_of_key(job.store.as_of)
    staging = _staging(job)
    work = partial(_bucket, job)
    paths = map_buckets(work, job.store.buckets, staging, f"score {key}", cluster)
    rows = int(collect(pl.scan_parquet(paths).select(pl.len()), CPU).item())
    if rows:
        replace(scores_path(job.settings), SCORES, frames(paths), f"as_of_key = '{key}'")
    remove_folder(staging)
    if not rows:
        raise LabelError(
            f"as of {show(job.store.as_of)}: nobody is eligible; widen [eligible] or [activity] "
            "or choose another --as-of"
        )
    return rows


def _staging(job: _Job) -> Path:
    """The folder of this job's buckets; those that a changed log has made useless are removed."""
    version = f"scores-v{job.store.version}-"
    folder = job.settings.store / ".staging"
    for stale in folder.glob("scores-v*"):
        if not stale.name.startswith(version):
            remove_folder(stale)
    return folder / f"{version}{digest_of([job.digest, job.run.run_id])}"


def _bucket(job: _Job, bucket: int) -> pl.DataFrame:
    """SCORES of a bucket's eligible users, by user id."""
    cutoff = Cutoff(job.store.as_of)
    wanted = Job(job.settings, job.store, (cutoff,), job.model.spec, job.device)
    features = bucket_rows(wanted, bucket).drop("cutoff", "churn", "value")
    features = _with_sequences(job, bucket, features)
    scored = [_scored(job.model, part) for part in features.iter_slices(SLICE)]
    frame = pl.concat(scored) if scored else _scored(job.model, features)
    return frame.with_columns(
        as_of=pl.lit(job.store.as_of),
        model_kind=pl.lit(job.model.kind),
        model_version=pl.lit(job.run.version),
        model_run_id=pl.lit(job.run.run_id),
        snapshot_digest=pl.lit(job.digest),
        as_of_key=pl.lit(as_of_key(job.store.as_of)),
        bucket=pl.lit(bucket),
    ).select(pl.col(name).cast(kind) for name, kind in SCORES.schema.items())


def _with_sequences(job: _Job, bucket: int, features: pl.DataFrame) -> pl.DataFrame:
    """The lists that the model's sequence model reads, where it has one, beside the features."""
    if job.model.sequence is None:
        return features
    lists = bucket_sequences(
        job.store,
        bucket,
        Cutoff(job.store.as_of),
        job.model.spec,
        job.model.sequence.length,
        job.device,
    )
    return features.join(lists, on="user_id", how="left", maintain_order="left")


def _scored(model: Model, features: pl.DataFrame) -> pl.DataFrame:
    users = features.select("user_id")
    return users.hstack(model.predict(features)).hstack(reasons(model, features))


__all__ = ["SCORES", "ScoreResult", "score"]
