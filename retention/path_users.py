"""Who goes a path or a transition: the figure, and the list of exactly as many users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from events.passes import each_bucket, summed
from events.store import EventStore
from retention.path_counts import pairs_in, transition_code
from retention.path_keys import Keys, keys_of, path_rows
from retention.path_nodes import path_text
from retention.path_question import Asked, PathQuestion
from retention.path_rows import named_rows
from retention.paths import as_question, paths
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.lists import check_list, write_list
from runtime.settings import Settings

_NEAREST = 3


@dataclass(frozen=True)
class Way:
    """A path or a transition, and who goes it.

    `kind`: "path" as a whole, with how it ends; "beginning" (or, read backward, "ending") of
    paths, without; "transition" at `step`, or at any. count: occurrences. users: distinct.
    """

    kind: Literal["path", "beginning", "ending", "transition"]
    way: str
    step: int | None
    count: int
    users: int
    file: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "way": self.way,
            "step": self.step,
            "count": self.count,
            "users": self.users,
            "file": None if self.file is None else str(self.file),
        }


@dataclass(frozen=True)
class Target:
    """`codes`: of the nodes in the order they are read. `place`: of a transition; None: any."""

    kind: Literal["path", "beginning", "ending", "transition"]
    text: str
    codes: tuple[int, ...]
    step: int | None = None
    place: int | None = None


def users_of(
    settings: Settings,
    store: EventStore,
    device: Device,
    asked: Asked | PathQuestion | None = None,
    *,
    path: str | None = None,
    transition: str | None = None,
    step: int | None = None,
    file: Path | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Way:
    """Counts a path or a transition, and writes its users to `file`: a row a user, user_id and
    count, a bucket at a time, whole or not at all.

    A path with its end is one row of `Paths.paths`; without, every path that begins so (read
    backward: ends so). A transition at a step is a row of `Paths.transitions`. Raises UsageError
    where it cannot be or nobody went it, and for a file that is neither .csv nor .parquet.
    """
    if file is not None:
        check_list(file)
    chosen = as_question(settings, store, device, asked, cluster)
    target = target_of(chosen, path, transition, step)
    plan = partial(_figure, store, device, chosen, target)
    found = summed(
        plan, store, device, by=("part",), label="a path", with_bucket=True, cluster=cluster
    )
    count, users = int(found["count"].sum()), int(found["users"].sum())
    if users == 0:
        raise UsageError(_nobody(target, settings, store, device, chosen, cluster))
    if file is not None:
        listed = partial(_listed, store, chosen, target)
        parts = each_bucket(listed, store, device, "users", with_bucket=True, cluster=cluster)
        write_list(file, parts)
    return Way(target.kind, target.text, target.step, count, users, file)


def target_of(
    asked: PathQuestion, path: str | None, transition: str | None, step: int | None
) -> Target:
    """Raises UsageError."""
    if (path is None) == (transition is None):
        raise UsageError("name the users to list by --path or by --transition, one of the two")
    if transition is not None:
        return _transition(asked, transition, step)
    assert path is not None
    if step is not None:
        raise UsageError(f"--at {step} goes with --transition, not with --path; leave it out")
    nodes, codes = asked.nodes, asked.nodes.codes_of(path, "path")
    text = path_text([nodes.texts[code] for code in codes])
    read = codes[::-1] if asked.backward else codes
    events = [nodes.is_event(code) for code in read]
    if not all(events[:-1]) or not events[0]:
        side = "begin a path" if asked.backward else "end it"
        raise UsageError(f"path '{text}': only events lie between; other nodes {side} and do that")
    if sum(events) > asked.steps:
        raise UsageError(
            f"path '{text}': has {sum(events)} events, paths here at most {asked.steps}; "
            f"raise --steps"
        )
    if not events[-1]:
        return Target("path", text, read)
    return Target("ending" if asked.backward else "beginning", text, read)


def _transition(asked: PathQuestion, text: str, step: int | None) -> Target:
    nodes, codes = asked.nodes, asked.nodes.codes_of(text, "transition")
    if len(codes) != 2:  # noqa: PLR2004 - from one node to another
        raise UsageError(f"transition '{text}': has {len(codes)} nodes; write it like 'view > buy'")
    shown = path_text([nodes.texts[code] for code in codes])
    if step is None:
        return Target("transition", shown, codes)
    place = -(step + 1) if asked.backward else step - 1
    if not 0 <= place < asked.steps:
        steps = range(-asked.steps, 0) if asked.backward else range(1, asked.steps + 1)
        raise UsageError(f"--at {step}: no such step; choose {steps[0]} to {steps[-1]}")
    return Target("transition", shown, codes, step, place)


def matches(target: Target, asked: PathQuestion) -> pl.Expr:
    """How often a path goes that way: 0 or 1, for a transition at any step also more."""
    keys = keys_of(asked)
    if target.kind != "transition":
        same = pl.lit(value=True)
        for place, code in enumerate(target.codes):
            same &= keys.digit(place) == code
        return same.cast(pl.Int64)
    places = range(asked.steps) if target.place is None else (target.place,)
    return pl.sum_horizontal(_goes(keys, place, target, asked) for place in places)


def _goes(keys: Keys, place: int, target: Target, asked: PathQuestion) -> pl.Expr:
    first, second = target.codes
    code = transition_code(keys, place, asked)
    digit = keys.digit(place)
    is_event = (digit > 0) & (digit <= asked.nodes.rest)
    return (is_event & (code == first * keys.base + second)).cast(pl.Int64)


def figure_plan(pairs: pl.LazyFrame, asked: PathQuestion, target: Target) -> pl.LazyFrame:
    """Counts of one bucket, from each user's different paths: part (0), count, users."""
    times = pairs.select("number", count=pl.col("count") * matches(target, asked))
    gone = times.filter(pl.col("count") > 0).group_by("number").agg(pl.col("count").sum())
    return gone.select(
        part=pl.lit(0, pl.Int8),
        count=pl.col("count").sum().cast(pl.Int64),
        users=pl.len().cast(pl.Int64),
    )


def list_plan(rows: pl.LazyFrame, asked: PathQuestion, target: Target) -> pl.LazyFrame:
    """user_id, count of one bucket, by user. `rows` have `user_id`."""
    times = path_rows(rows, asked).select("user_id", count=matches(target, asked))
    gone = times.filter(pl.col("count") > 0).group_by("user_id").agg(pl.col("count").sum())
    return gone.sort("user_id")


def _figure(
    store: EventStore,
    device: Device,
    asked: PathQuestion,
    target: Target,
    events: pl.LazyFrame,
    bucket: int,
) -> pl.LazyFrame:
    return figure_plan(pairs_in(store, device, asked, events, bucket), asked, target)


def _listed(
    store: EventStore, asked: PathQuestion, target: Target, events: pl.LazyFrame, bucket: int
) -> pl.LazyFrame:
    in_order = store.in_order(bucket)
    rows = named_rows(events, asked.kinds, asked.since, asked.until, in_order=in_order)
    return list_plan(rows, asked, target)


def _nobody(
    target: Target,
    settings: Settings,
    store: EventStore,
    device: Device,
    asked: PathQuestion,
    cluster: Cluster,
) -> str:
    found = paths(settings, store, device, asked, cluster)
    if target.kind == "transition":
        rows = found.transitions.sort("count", descending=True, maintain_order=True)
        most = [f"{row['from']} > {row['to']}" for row in rows.to_dicts()]
    else:
        most = found.paths["path"].to_list()
    near = ", ".join(f"'{text}'" for text in list(dict.fromkeys(most))[:_NEAREST])
    at = "" if target.step is None else f" at step {target.step}"
    hint = f"the most frequent are {near}" if near else "there is no path at all in this range"
    return f"{target.kind} '{target.text}'{at}: nobody went it; {hint}"
