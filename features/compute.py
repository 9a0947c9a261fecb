"""Features, and labels where wanted, of one bucket: the one doorway to both engines.

On the CPU every cutoff is looked up in the same prefix sums; on a GPU each is a plan of its own
over rows that were prepared once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from events.codes import scan_coded
from events.contract import TIME
from events.store import EventStore
from events.users import scan_users
from features.attributes import valid_before
from features.labels import labels_of
from features.many import Bucket, features_at, labelled_at
from features.plan import prepared_plan
from features.spec import FeatureSpec
from features.steps import labelled_until, shortened
from features.streams import names_of, prepare
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings

ABSENT = {"churn": pl.lit(None, dtype=pl.Int8), "value": pl.lit(None, dtype=pl.Float64)}


@dataclass(frozen=True)
class Job:
    """What is computed of every bucket alike."""

    settings: Settings
    store: EventStore
    cutoffs: tuple[Cutoff, ...]
    spec: FeatureSpec
    device: Device
    labelled: bool = False
    steps: tuple[int, ...] = ()  # where the steps of the horizon end, in days after the gap


def bucket_rows(job: Job, bucket: int) -> pl.DataFrame:
    """`cutoff`, `user_id`, the features, `churn` (Int8) and `value` (Float64), null where not
    labelled: a row an eligible user and cutoff, by cutoff and user.

    With steps the same by the end of each but the last, named by `features.steps`; null as well
    where the labels of a cutoff are not known yet.
    """
    on_cpu, in_order = job.device.kind == "cpu", job.store.in_order(bucket)
    names = names_of(job.spec)
    events = scan_coded(job.store, bucket, names) if on_cpu else job.store.scan(bucket)
    plan = prepare(events, job.spec, in_order=in_order, coded=on_cpu)
    rows, users = collect(plan, job.device), scan_users(job.settings, bucket, job.store.parted_in)
    if users is not None:
        users = valid_before(users, job.store.as_of)  # labels read the latest of these
    if on_cpu:
        found = [_looked_up(job, part) for part in parted(job, rows, users)]
    else:
        plans = [_at(job, cutoff, rows.lazy(), users) for cutoff in job.cutoffs]
        found = [collect(plan, job.device) for plan in plans]
    frame = found[0] if len(found) == 1 else pl.concat(found).sort("cutoff", "user_id")
    return frame.with_columns(_where_known(job)) if job.steps else frame


def _earlier(job: Job) -> dict[str, Settings]:
    """The settings of each step but the last, by the ending of its columns' names."""
    return {f"_{days}": shortened(job.settings, days) for days in job.steps[:-1]}


def _where_known(job: Job) -> list[pl.Expr]:
    latest = labelled_until(job.store, job.settings, job.steps)
    endings = [*_earlier(job), ""]
    return [
        pl.when(pl.col("cutoff") <= pl.lit(until, dtype=TIME)).then(pl.col(name + ending))
        for ending, until in zip(endings, latest, strict=True)
        for name in ("churn", "value")
    ]


def parted(job: Job, rows: pl.DataFrame, users: pl.LazyFrame | None) -> Iterator[Bucket]:
    """All cutoffs together, but each alone that some event lies before and arrived after."""
    told = rows["received"].null_count() < rows.height
    late = rows.filter(pl.col("received") > pl.col("ts")) if told else rows.clear()
    missed = {c for c in job.cutoffs if late.filter(_missed(c)).height}
    together = tuple(c for c in job.cutoffs if c not in missed)
    if together:
        yield Bucket(rows, rows, users, together, job.spec)
    for cutoff in sorted(missed):
        yield Bucket(rows, rows.filter(~_missed(cutoff)), users, (cutoff,), job.spec)


def _missed(cutoff: Cutoff) -> pl.Expr:
    """Whether an event had happened before the cutoff and was not known."""
    arrives = (pl.col("received") >= cutoff.at).fill_null(value=False)
    return (pl.col("ts") < cutoff.at) & arrives


def _looked_up(job: Job, bucket: Bucket) -> pl.DataFrame:
    if job.labelled:
        return labelled_at(bucket, job.settings, _earlier(job))
    return features_at(bucket).with_columns(**ABSENT)


def _at(job: Job, cutoff: Cutoff, rows: pl.LazyFrame, users: pl.LazyFrame | None) -> pl.LazyFrame:
    people = prepared_plan(rows, cutoff, job.spec, users)
    people = people.select(pl.lit(cutoff.at, dtype=TIME).alias("cutoff"), pl.all())
    if not job.labelled:
        return people.with_columns(**ABSENT)
    paid = job.spec.has_amount
    for ending, settings in ({"": job.settings} | _earlier(job)).items():
        labels = labels_of(rows, "number", cutoff, settings, users, has_amount=paid)
        named = labels.rename({name: name + ending for name in ("churn", "value")})
        people = people.join(named, on="user_id", how="left")
    return people
