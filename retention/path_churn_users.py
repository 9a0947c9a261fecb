"""Who went a path before a cutoff, with what came after: as many as the comparison says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from events.passes import each_bucket, summed
from events.store import EventStore
from retention.path_churn import Before, bucket_rows
from retention.path_grams import gone_plan
from retention.path_nodes import path_text
from retention.path_question import Asked
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.lists import check_list, write_list
from runtime.settings import Settings


@dataclass(frozen=True)
class WayBeforeChurn:
    """users: those with a label who went the path; churned: of these."""

    way: str
    cutoff: datetime
    users: int
    churned: int
    file: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "cutoff": show(self.cutoff),
            "users": self.users,
            "churned": self.churned,
            "file": None if self.file is None else str(self.file),
        }


def users_before_churn(
    settings: Settings,
    store: EventStore,
    device: Device,
    path: str,
    *,
    file: Path | None = None,
    cutoff: datetime | None = None,
    before_days: int | None = None,
    whole: bool = False,
    asked: Asked | None = None,
    cluster: Cluster = IN_PROCESS,
) -> WayBeforeChurn:
    """One row of `PathsBeforeChurn.rows`, and its users in `file`: user_id and churn, a bucket at
    a time. Raises UsageError where nobody went it, LabelError."""
    if file is not None:
        check_list(file)
    job = Before.of(settings, store, device, cutoff, before_days, whole, asked, cluster)
    nodes = job.question.nodes
    codes = nodes.codes_of(path, "path")
    text = path_text([nodes.texts[code] for code in codes])
    events = [nodes.is_event(code) for code in codes]
    if not all(events[: len(events) - whole]) or (whole and events[-1]):
        form = "events, then how the session ends" if whole else "events alone"
        raise UsageError(f"path '{text}': write {form}")
    if sum(events) > job.question.steps:
        raise UsageError(
            f"path '{text}': has {sum(events)} events, paths here at most {job.question.steps}"
        )
    plan = partial(_gone, job, codes)
    found = summed(
        partial(_figure, plan),
        store,
        device,
        by=("part",),
        label="a path",
        with_bucket=True,
        cluster=cluster,
    )
    users, churned = int(found["users"].sum()), int(found["churned"].sum())
    if users == 0:
        raise UsageError(
            f"path '{text}': nobody went it before {show(job.cutoff.at)}; leave out --path to see "
            "which are gone"
        )
    if file is not None:
        parts = each_bucket(plan, store, device, "users", with_bucket=True, cluster=cluster)
        write_list(file, parts)
    return WayBeforeChurn(text, job.cutoff.at, users, churned, file)


def _gone(job: Before, codes: Sequence[int], events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
    rows, labelled = bucket_rows(job, events, bucket)
    return gone_plan(rows, labelled, job.question, codes, whole=job.whole)


def _figure(plan: Any, events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
    gone: pl.LazyFrame = plan(events, bucket)
    return gone.select(
        part=pl.lit(0, pl.Int8),
        users=pl.len().cast(pl.Int64),
        churned=pl.col("churn").cast(pl.Int64).sum(),
    )
