"""A funnel as it is asked for on the command line: one of [[funnel]], or steps, and a list."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from events.store import EventStore
from retention.funnel import TOP, Funnel, answered
from retention.funnel_count import Asked
from retention.funnel_users import Listed, wanted, write_users
from retention.steps import question, window_of
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.settings_funnel import Funnel as FunnelSettings

WEEK = 7.0


@dataclass(frozen=True)
class FunnelCall:
    """What is None is as in the funnel called `name`, or by default. `dropped`, `reached`: the
    step whose users go to the file `users`; `value`: only those of one group."""

    steps: tuple[str, ...] = ()
    name: str | None = None
    within_days: float | None = None
    order: str | None = None
    exclude: tuple[str, ...] | None = None
    hold: str | None = None
    by: str | None = None
    top: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    dropped: int | None = None
    reached: int | None = None
    value: str | None = None
    users: Path | None = None


def ask(
    settings: Settings,
    store: EventStore,
    device: Device,
    call: FunnelCall,
    cluster: Cluster = IN_PROCESS,
) -> tuple[Funnel, Listed | None]:
    """The funnel, and the list where one is asked for. Raises UsageError, StoreError, OutputError;
    all that can be told from the call before any work."""
    named = _named(settings, call)
    own = {} if named is None else named.model_dump()
    days = call.within_days if call.within_days is not None else own.get("within_days", WEEK)
    asked = question(
        settings,
        store.covered_until,
        call.steps or own.get("steps", ()),
        window_of(days),
        order=call.order or own.get("order", "sequential"),
        exclude=own.get("exclude", ()) if call.exclude is None else call.exclude,
        hold=call.hold or own.get("hold"),
        by=call.by or own.get("by"),
        since=call.since,
        until=call.until,
    )
    users = wanted(asked, call.users, call.dropped, call.reached, call.value)
    put = Asked(settings, store, device, asked, cluster)
    top = own.get("top", TOP) if call.top is None else call.top
    found = answered(put, top, None if named is None else named.name)
    if users is None or call.users is None:
        return found, None
    return found, write_users(put, found, users, call.users)


def named_funnel(settings: Settings, name: str) -> FunnelSettings:
    """One of [[funnel]]. Raises UsageError with those that there are."""
    found = [one for one in settings.funnel if one.name == name]
    if len(found) > 1:
        raise UsageError(f"funnel '{name}': {len(found)} [[funnel]] have this name; rename one")
    if found:
        return found[0]
    known = [one.name for one in settings.funnel]
    if not known:
        raise UsageError(f"funnel '{name}': holdfast.toml has no [[funnel]]; add it, or name steps")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise UsageError(f"funnel '{name}' is not known; {hint}known: {', '.join(known)}")


def _named(settings: Settings, call: FunnelCall) -> FunnelSettings | None:
    if call.name is not None:
        return named_funnel(settings, call.name)
    if not call.steps and settings.funnel:
        known = ", ".join(one.name for one in settings.funnel)
        raise UsageError(f"no funnel is asked for; name steps, or one with --name: {known}")
    return None
