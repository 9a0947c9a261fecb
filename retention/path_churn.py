"""Which paths precede churn, and which precede staying."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import polars as pl

from events.passes import summed
from events.store import EventStore
from events.users import scan_users, users_path
from features.attributes import valid_before
from features.matured import matured_cutoffs, require_matured
from features.time import Cutoff
from retention.path_grams import ANY, EVERYONE, GRAM, before_plan, labelled_plan
from retention.path_keys import keys_of
from retention.path_nodes import Per
from retention.path_question import Asked, PathQuestion, question
from retention.path_rows import named_rows
from retention.path_words import compared
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import StoreError, UsageError
from runtime.settings import Settings

LONGEST_RUN = 3
NOTE = (
    "association, not effect: who goes a path differs in other ways too; an experiment tells "
    "whether the path changes anything"
)
SHOWN = 50


@dataclass(frozen=True)
class PathsBeforeChurn:
    """Paths gone in `[cutoff - before_days, cutoff)` and churn after it, of the eligible users.

    `whole`: sessions as a whole, else runs of 1 to 3 events. users, churned, base_rate: of all
    eligible users with a label, as a snapshot at the cutoff has them; unknown: of those without
    one, who were lost in the gap already and are left out. went, went_churned: of those with any
    path in these days; who went a path is compared with all others, the idle ones too.
    rows: path (as written), users and churned (of those who went it), rate with rate_low and
    rate_high (95 %, Wilson), users_without, churned_without, rate_without, lift (rate by
    rate_without) with low and high (95 %, Koopman 1984; null where it is not known or has no
    bound), p (chi squared), q (Benjamini and Hochberg 1995, over all `compared`), precedes
    ("churn", "staying" or null), words. By q, then p, then the path.
    left_out: paths gone by fewer than `least_users`, or not gone by fewer.
    """

    cutoff: datetime
    before_days: int
    per: Per
    whole: bool
    kept: tuple[str, ...]
    pooled: tuple[str, ...]
    users: int
    churned: int
    base_rate: float | None
    unknown: int
    went: int
    went_churned: int
    least_users: int
    false_discovery_rate: float
    compared: int
    left_out: int
    as_of: datetime
    rows: pl.DataFrame

    def to_json(self, shown: int = SHOWN) -> dict[str, Any]:
        return {
            "cutoff": show(self.cutoff),
            "before_days": self.before_days,
            "per": self.per,
            "whole": self.whole,
            "kept": list(self.kept),
            "pooled": list(self.pooled),
            "users": self.users,
            "churned": self.churned,
            "base_rate": self.base_rate,
            "unknown": self.unknown,
            "went": self.went,
            "went_churned": self.went_churned,
            "least_users": self.least_users,
            "false_discovery_rate": self.false_discovery_rate,
            "compared": self.compared,
            "left_out": self.left_out,
            "as_of": show(self.as_of),
            "note": NOTE,
            "rows": self.rows[:shown].to_dicts(),
        }


def paths_before_churn(
    settings: Settings,
    store: EventStore,
    device: Device,
    *,
    cutoff: datetime | None = None,
    before_days: int | None = None,
    least_users: int | None = None,
    whole: bool = False,
    asked: Asked | None = None,
    cluster: Cluster = IN_PROCESS,
) -> PathsBeforeChurn:
    """Default cutoff: the newest whose labels have matured. What is left out is as `[paths]` says.

    Which events are told apart is learned from the same days before the cutoff, from what was
    known by it. Raises UsageError; LabelError for a cutoff that has not matured.
    """
    least = settings.paths.least_users if least_users is None else least_users
    if least < 1:
        raise UsageError(f"least users {least} is out of range; choose 1 or more")
    job = Before.of(settings, store, device, cutoff, before_days, whole, asked, cluster)
    counts = summed(
        partial(bucket_counts, job),
        store,
        device,
        by=("part", *keys_of(job.question).names),
        label="paths before churn",
        with_bucket=True,
        cluster=cluster,
    )
    every = counts.filter(pl.col("part") == EVERYONE)
    anybody = counts.filter(pl.col("part") == ANY)
    users, churned = int(every["users"].sum()), int(every["churned"].sum())
    gone = counts.filter(pl.col("part") == GRAM)
    enough = gone.filter((pl.col("users") >= least) & (users - pl.col("users") >= least))
    return PathsBeforeChurn(
        cutoff=job.cutoff.at,
        before_days=job.before_days,
        per=job.question.per,
        whole=whole,
        kept=job.question.nodes.kept,
        pooled=job.question.nodes.pooled,
        users=users,
        churned=churned,
        base_rate=churned / users if users else None,
        unknown=int(every["unknown"].sum()),
        went=int(anybody["users"].sum()),
        went_churned=int(anybody["churned"].sum()),
        least_users=least,
        false_discovery_rate=settings.paths.share,
        compared=enough.height,
        left_out=gone.height - enough.height,
        as_of=store.as_of,
        rows=compared(enough, job.question, whole, users, churned, settings.paths.share),
    )


@dataclass(frozen=True)
class Before:
    """What is counted of every bucket alike. `past`: the store as it was known at the cutoff."""

    settings: Settings
    store: EventStore
    past: EventStore
    cutoff: Cutoff
    before_days: int
    whole: bool
    question: PathQuestion

    @staticmethod
    def of(
        settings: Settings,
        store: EventStore,
        device: Device,
        cutoff: datetime | None,
        before_days: int | None,
        whole: bool,
        asked: Asked | None,
        cluster: Cluster,
    ) -> Before:
        """Raises UsageError, LabelError."""
        asked = asked or Asked()
        if asked.start or asked.until or asked.since or asked.until_date:
            raise UsageError(
                "--before churn looks at all paths of the days before the cutoff; leave out "
                "--from, --until, --since and --until-date, or choose the days with --days"
            )
        days = settings.paths.before_days if before_days is None else before_days
        if days < 1:
            raise UsageError(f"days {days} before the cutoff is out of range; choose 1 or more")
        _require_users(settings)
        at = Cutoff(cutoff) if cutoff else matured_cutoffs(store, settings)[0]
        require_matured(at, store, settings)
        past = replace(store, as_of=at.at, covered_until=at.at)
        begin = at.at - timedelta(days=days)
        if not whole:
            asked = replace(asked, steps=LONGEST_RUN)
        found = question(settings, past, device, replace(asked, since=begin), cluster, store)
        return Before(settings, store, past, at, days, whole, found)


def bucket_counts(job: Before, events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
    rows, labelled = bucket_rows(job, events, bucket)
    return before_plan(rows, labelled, job.question, whole=job.whole)


def bucket_rows(
    job: Before, events: pl.LazyFrame, bucket: int
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The rows before the cutoff that paths are made of, and everyone eligible with the label."""
    users = scan_users(job.settings, bucket, job.store.parted_in)
    if users is not None:
        users = valid_before(users, job.store.as_of)  # as a snapshot's labels read them
    asked, past = job.question, job.past
    rows = named_rows(
        past.scan(bucket), asked.kinds, asked.since, None, in_order=past.in_order(bucket)
    )
    return rows, labelled_plan(events, job.cutoff, job.settings, users)


def _require_users(settings: Settings) -> None:
    churn = settings.churn
    if churn.kind == "active" and churn.date_column and scan_users(settings) is None:
        raise StoreError(
            f"{users_path(settings)}: there is no users table, which churn.date_column needs; "
            "run 'holdfast ingest'"
        )
