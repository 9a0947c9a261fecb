"""Paths: what users do next, or before, step by step and whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from events.store import EventStore
from retention.path_counts import ALL, NODE, PATH, TRANSITION, counted
from retention.path_keys import keys_of
from retention.path_question import Asked, PathQuestion, question
from retention.path_text import node_list, path_texts, texts
from retention.shares import with_share
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings

SHOWN = 50
MOST_LISTED = 10_000  # different paths; who goes through all of them reads the log itself


@dataclass(frozen=True)
class Paths:
    """What users do after `event` (or from the start), or before it where `origin` is "until".

    Steps count the events of a path from 1; read backward, `event` is step 0 and what comes
    before it -1, -2 and so on. A node is an event's name, `(other events)`, or how a path ends:
    `(end of session)`, `(still open)` at the end of the log or range, `(cut)` after the most
    steps. Backward: `(start of session)` (or user), `(began earlier)` than the range, `(cut)`.

    transitions: step (of `from`), from, to, count (occurrences), users (distinct)
    nodes: step, node, count, users. What goes into an event is what is at it, and what goes out.
    paths: the most frequent ones, 10,000 at most: path (as it is written), nodes (a list), steps
    (its events), count, share (of all paths), users, user_share (of all users with a path) with
    low and high: 95 %, Wilson
    rest_paths, rest_count: the paths that are not listed, and how often they are gone
    count, users: of all paths. pooled: the events that `(other events)` stands for
    """

    per: str
    origin: str
    event: str | None
    steps: int
    collapse: bool
    session_gap_minutes: float
    since: datetime | None
    until: datetime | None
    as_of: datetime
    covered_until: datetime
    kept: tuple[str, ...]
    pooled: tuple[str, ...]
    count: int
    users: int
    transitions: pl.DataFrame
    nodes: pl.DataFrame
    paths: pl.DataFrame
    rest_paths: int
    rest_count: int

    def to_json(self, shown: int = SHOWN) -> dict[str, Any]:
        """The `shown` most frequent paths; `rest` sums the others, so that all add up."""
        rest = self.paths[shown:]
        return {
            "per": self.per,
            "origin": self.origin,
            "event": self.event,
            "steps": self.steps,
            "collapse": self.collapse,
            "session_gap_minutes": self.session_gap_minutes,
            "since": None if self.since is None else show(self.since),
            "until": None if self.until is None else show(self.until),
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "kept": list(self.kept),
            "pooled": list(self.pooled),
            "count": self.count,
            "users": self.users,
            "transitions": self.transitions.to_dicts(),
            "nodes": self.nodes.to_dicts(),
            "paths": self.paths[:shown].to_dicts(),
            "rest": {
                "paths": rest.height + self.rest_paths,
                "count": int(rest["count"].sum()) + self.rest_count,
            },
        }


def paths(
    settings: Settings,
    store: EventStore,
    device: Device,
    asked: Asked | PathQuestion | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Paths:
    """The paths of every session (or user): the first `steps` events from its start, or from the
    first `start` event in it, or the last ones up to the first `until` event.

    A session ends after `features.session_gap_minutes` of silence, and takes in an event at
    exactly that distance: as in the features. Events of one instant are in the order of their
    names. Exact. Raises UsageError, StoreError.
    """
    chosen = as_question(settings, store, device, asked, cluster)
    counts = counted(store, device, chosen, cluster=cluster)
    whole = counts.filter(pl.col("part") == ALL)
    count, users = int(whole["count"].sum()), int(whole["users"].sum())
    listed = _paths(counts.filter(pl.col("part") == PATH), chosen, count, users)
    return Paths(
        per=chosen.per,
        origin=chosen.origin,
        event=chosen.event,
        steps=chosen.steps,
        collapse=chosen.collapse,
        session_gap_minutes=settings.features.session_gap_minutes,
        since=chosen.since,
        until=chosen.until,
        as_of=store.as_of,
        covered_until=store.covered_until,
        kept=chosen.nodes.kept,
        pooled=chosen.nodes.pooled,
        count=count,
        users=users,
        transitions=_transitions(counts.filter(pl.col("part") == TRANSITION), chosen),
        nodes=_nodes(counts.filter(pl.col("part") == NODE), chosen),
        paths=listed,
        rest_paths=counts.filter(pl.col("part") == PATH).height - listed.height,
        rest_count=count - int(listed["count"].sum()),
    )


def as_question(
    settings: Settings,
    store: EventStore,
    device: Device,
    asked: Asked | PathQuestion | None,
    cluster: Cluster = IN_PROCESS,
) -> PathQuestion:
    """A question that is checked already is taken as it is. Raises UsageError."""
    if isinstance(asked, PathQuestion):
        return asked
    return question(settings, store, device, asked or Asked(), cluster)


def shown_step(place: pl.Expr, asked: PathQuestion) -> pl.Expr:
    """The step of an event by the place of its digit."""
    return (-place if asked.backward else place + 1).cast(pl.Int32)


def _transitions(counts: pl.DataFrame, asked: PathQuestion) -> pl.DataFrame:
    base, step = asked.nodes.base, shown_step(pl.col("step"), asked)
    found = counts.select(
        (step - 1 if asked.backward else step).alias("step"),
        texts(pl.col("key0") // base, asked.nodes).alias("from"),
        texts(pl.col("key0") % base, asked.nodes).alias("to"),
        "count",
        "users",
    )
    return found.sort("step", "count", "from", "to", descending=[False, True, False, False])


def _nodes(counts: pl.DataFrame, asked: PathQuestion) -> pl.DataFrame:
    found = counts.select(
        step=shown_step(pl.col("step"), asked),
        node=texts(pl.col("key0"), asked.nodes),
        count="count",
        users="users",
    )
    return found.sort("step", "count", "node", descending=[False, True, False])


def _paths(counts: pl.DataFrame, asked: PathQuestion, count: int, users: int) -> pl.DataFrame:
    keys = keys_of(asked)
    order = ("count", "users", *keys.names)
    most = counts.sort(order, descending=[name in order[:2] for name in order]).head(MOST_LISTED)
    listed = most.select(
        "count",
        "users",
        nodes=node_list(keys, asked.nodes),
        path=path_texts(keys, asked.nodes),
    )
    whole = listed.with_columns(
        steps=(pl.col("nodes").list.len() - 1).cast(pl.Int32),
        all=pl.lit(users),
    )
    told = with_share(whole, "users", "all", pl.lit(value=True))
    return (
        told.rename({"share": "user_share"})
        .with_columns(share=pl.col("count") / max(count, 1))
        .select("path", "nodes", "steps", "count", "share", "users", "user_share", "low", "high")
        .sort("count", "users", "path", descending=[True, True, False])
    )


__all__ = ["Asked", "Paths", "paths"]
