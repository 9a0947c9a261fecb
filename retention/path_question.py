"""What is asked of paths, checked once, and the vocabulary that it is answered in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from events.activity import is_active
from events.names import event_names, require_events
from events.store import EventStore
from retention.path_names import names_in
from retention.path_nodes import Nodes, Per
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.settings_paths import MOST_NAMED, MOST_STEPS

Origin = Literal["start", "from", "until"]
_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class PathQuestion:
    """`origin`: where paths begin, or for "until" end: at the first `event` of the session or
    user, else at its start. `since`, `until`: paths see the log as if it began and ended there.
    `end`: up to there what follows an event is known. `earlier`: events may lie before `since`.
    """

    nodes: Nodes
    origin: Origin
    event: str | None
    steps: int
    collapse: bool
    exclude: tuple[str, ...]
    gap_us: int
    since: datetime | None
    until: datetime | None
    end: datetime
    earlier: bool

    @property
    def per(self) -> Per:
        return self.nodes.per

    @property
    def backward(self) -> bool:
        return self.nodes.backward

    @property
    def kinds(self) -> dict[str, int]:
        """A number for each event: its node's for those that are kept, from there on for the
        pooled ones; -1 for an event that is no step but keeps a session going. What is in none
        of them is no activity."""
        known = (*self.nodes.kept, *self.nodes.pooled)
        return {name: code for code, name in enumerate(known, 1)} | dict.fromkeys(self.exclude, -1)


@dataclass(frozen=True)
class Asked:
    """The options of a question; what is left out is as `[paths]` says."""

    start: str | None = None
    until: str | None = None
    per: str | None = None
    steps: int | None = None
    top: int | None = None
    collapse: bool | None = None
    events: str | None = None
    since: datetime | None = None
    until_date: datetime | None = None


def question(
    settings: Settings,
    store: EventStore,
    device: Device,
    asked: Asked,
    cluster: Cluster = IN_PROCESS,
    log: EventStore | None = None,
) -> PathQuestion:
    """`log`: where names are looked for, where `store` is but its past. Raises UsageError: see
    the functions below for what."""
    own = settings.paths
    if asked.start is not None and asked.until is not None:
        raise UsageError(
            f"--from '{asked.start}' and --until '{asked.until}' together; ask for one of them, "
            "or for a funnel from the one to the other"
        )
    steps = own.steps if asked.steps is None else asked.steps
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"steps {steps} is out of range; choose 1 to {MOST_STEPS}")
    top = own.top if asked.top is None else asked.top
    if not 1 <= top <= MOST_NAMED:
        raise UsageError(f"top {top} is out of range; choose 1 to {MOST_NAMED}")
    check_range(store, asked.since, asked.until_date)
    event = asked.start or asked.until
    counts = names_in(store, device, asked.since, asked.until_date, cluster)
    chosen = _steps_among(counts, settings, asked.events)
    if event is not None:
        _check_event(event, counts, chosen, settings, store, device, cluster)
    if missing := [name for name in own.exclude if name not in counts]:
        require_events(missing, event_names(log or store, device, cluster), "paths.exclude")
    excluded = tuple(name for name in own.exclude if name in counts)
    return PathQuestion(
        nodes=nodes_of(
            chosen, top, event, per_of(asked.per, settings, store), asked.until is not None
        ),
        origin="from" if asked.start else "until" if asked.until else "start",
        event=event,
        steps=steps,
        collapse=own.collapse if asked.collapse is None else asked.collapse,
        exclude=_counted(excluded, settings, asked.events),
        gap_us=settings.features.session_gap_minutes * _MINUTE_US,
        since=asked.since,
        until=asked.until_date,
        end=min(asked.until_date or store.covered_until, store.covered_until),
        earlier=asked.since is not None and asked.since > store.first,
    )


def check_range(store: EventStore, since: datetime | None, until: datetime | None) -> None:
    """Raises UsageError for a range that holds nothing."""
    if since is not None and until is not None and since >= until:
        raise UsageError(
            f"--since {show(since)} is not before --until-date {show(until)}; turn them round"
        )
    if (since is not None and since >= store.as_of) or (until is not None and until <= store.first):
        raise UsageError(
            f"no event from {show(since or store.first)} to {show(until or store.as_of)}; the log "
            f"has those from {show(store.first)} to {show(store.as_of)}"
        )


def per_of(per: str | None, settings: Settings, store: EventStore) -> Per:
    """Raises UsageError for sessions of a log that has dates only."""
    wanted = per or settings.paths.per
    if wanted is None:
        return "user" if store.date_only else "session"
    if wanted == "user":
        return "user"
    if wanted != "session":
        raise UsageError(f"per '{wanted}' is not known; choose session or user")
    if store.date_only:
        raise UsageError("per session: the log has dates only, so no sessions; choose --per user")
    return "session"


def nodes_of(
    counts: Mapping[str, int], top: int, event: str | None, per: Per, backward: bool = False
) -> Nodes:
    """The `top` most frequent events, ties by name, and the one that is asked for."""
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    kept = ordered[:top]
    if event is not None and event not in kept:
        kept.append(event)
    return Nodes(tuple(kept), tuple(n for n in ordered[top:] if n != event), per, backward)


def _steps_among(
    counts: Mapping[str, int], settings: Settings, events: str | None
) -> dict[str, int]:
    """Those that can be a step."""
    names = _counted(tuple(counts), settings, events)
    return {name: counts[name] for name in names if name not in settings.paths.exclude}


def _counted(names: Sequence[str], settings: Settings, events: str | None) -> tuple[str, ...]:
    """The names that are activities, by the one definition of them; or all."""
    if (events or settings.paths.events) == "all":
        return tuple(names)
    frame = pl.DataFrame({"event": list(names)}, schema={"event": pl.String})
    return tuple(frame.filter(is_active(settings.activity))["event"])


def _check_event(
    event: str,
    counts: Mapping[str, int],
    chosen: Mapping[str, int],
    settings: Settings,
    store: EventStore,
    device: Device,
    cluster: Cluster,
) -> None:
    """Raises UsageError for an event that is no step, or is not in the log at all."""
    if event in chosen:
        return
    if event in settings.paths.exclude:
        raise UsageError(f"event '{event}' is left out by paths.exclude; take it out of the list")
    if event in counts:
        raise UsageError(
            f"event '{event}' is no activity by [activity], so no step; add --all-events"
        )
    require_events([event], event_names(store, device, cluster), "event")
