"""Funnels said again, slowly: every choice of one instant for each step is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Any

Attempt = tuple[datetime, ...]  # the instants of steps 1 to k


@dataclass(frozen=True)
class Event:
    user: str
    at: datetime
    name: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """`exclude`: (event, from, to), steps counted from 1."""

    steps: Sequence[Sequence[str]]
    window: timedelta
    order: str = "sequential"
    exclude: Sequence[tuple[str, int, int]] = ()
    hold: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Person:
    """`taken`: for each step reached its first completion and the latest start that leads to it.
    `value`: of the start of the last step reached."""

    taken: tuple[tuple[datetime, datetime], ...]
    still_open: bool
    value: str | None

    @property
    def seconds(self) -> list[int]:
        return [(at - start) // timedelta(seconds=1) for at, start in self.taken]


def people(events: Iterable[Event], asked: Asked, covered: datetime) -> dict[str, Person]:
    """Everyone who starts. `covered`: up to where the log is known."""
    found = {}
    events = list(events)
    for user in {event.user for event in events}:
        person = _person([event for event in events if event.user == user], asked, covered)
        if person.taken:
            found[user] = person
    return found


def _person(own: list[Event], asked: Asked, covered: datetime) -> Person:
    logs = {None: own}
    if asked.hold is not None:
        values = {e.properties[asked.hold] for e in own if asked.hold in e.properties}
        logs = {v: [e for e in own if e.properties.get(asked.hold) == v] for v in sorted(values)}
    taken = []
    attempts = {value: set(_attempts(log, asked)) for value, log in logs.items()}
    for length in range(1, len(asked.steps) + 1):
        ends = [(v, a) for v, found in attempts.items() for a in found if len(a) == length]
        if not ends:
            break
        at = min(a[-1] for _, a in ends)
        start = max(a[0] for _, a in ends if a[-1] == at)
        taken.append((at, start))
    still = len(taken) < len(asked.steps) and any(
        _is_open(a, logs[v], asked, covered) for v, found in attempts.items() for a in found
    )
    return Person(tuple(taken), still, _value(taken, attempts, logs, asked))


def _attempts(own: Sequence[Event], asked: Asked) -> Iterator[Attempt]:
    """Every attempt that holds, of every length."""
    for length in range(1, len(asked.steps) + 1):
        for chosen in _choices(own, asked, length):
            if _holds(chosen, own, asked):
                yield tuple(at for at, _ in chosen)


Choice = tuple[tuple[datetime, str], ...]  # of each step the instant and the event's name


def _choices(own: Sequence[Event], asked: Asked, length: int) -> Iterator[Choice]:
    instants = sorted({(event.at, event.name) for event in own})
    if asked.order != "any":
        places = [[i for i in instants if i[1] in step] for step in asked.steps[:length]]
        yield from product(*places)
        return
    for chosen in product(instants, repeat=length):
        # No event twice, in the order of time, and each one a step of its own.
        in_order = len(set(chosen)) == length and list(chosen) == sorted(chosen)
        if in_order and _fits([name for _, name in chosen], list(asked.steps)):
            yield chosen


def _fits(names: list[str], steps: list[Sequence[str]]) -> bool:
    """Whether each name can be another one of the steps."""
    if not names:
        return True
    return any(
        names[0] in step and _fits(names[1:], steps[:n] + steps[n + 1 :])
        for n, step in enumerate(steps)
    )


def _holds(chosen: Choice, own: Sequence[Event], asked: Asked) -> bool:
    start, end = chosen[0][0], chosen[-1][0]
    if asked.since is not None and start < asked.since:
        return False
    if asked.until is not None and start >= asked.until:
        return False
    if not end - start < asked.window:
        return False
    if asked.order == "any":
        return not _between(own, start, end, {name for name, _, _ in asked.exclude})
    for step in range(1, len(chosen)):
        (before, _), (at, name) = chosen[step - 1], chosen[step]
        repeated = any(name in earlier for earlier in asked.steps[:step])
        if at < before or (repeated and at == before):
            return False
        if _between(own, before, at, _breaking(own, asked, step)):
            return False
    return True


def _breaking(own: Sequence[Event], asked: Asked, step: int) -> set[str]:
    """What may not lie on the way to this step, from 0."""
    if asked.order == "strict":
        return {event.name for event in own}
    return {name for name, first, last in asked.exclude if first <= step < last}


def _between(own: Sequence[Event], start: datetime, end: datetime, names: set[str]) -> bool:
    return any(start < event.at < end and event.name in names for event in own)


def _is_open(attempt: Attempt, own: Sequence[Event], asked: Asked, covered: datetime) -> bool:
    """Whether it may still take its next step: nothing after it broke it, its window goes on."""
    if len(attempt) == len(asked.steps) or not attempt[0] + asked.window > covered:
        return False
    if asked.order == "any":
        names, since = {name for name, _, _ in asked.exclude}, attempt[0]
    else:
        names, since = _breaking(own, asked, len(attempt)), attempt[-1]
    return not any(event.at > since and event.name in names for event in own)


def _value(
    taken: Sequence[tuple[datetime, datetime]],
    attempts: Mapping[str | None, set[Attempt]],
    logs: Mapping[str | None, Sequence[Event]],
    asked: Asked,
) -> str | None:
    """Of the property held the smallest value whose attempts include the best one, then of the
    events at its start the smallest that is told."""
    if asked.by is None or not taken:
        return None
    at, start = taken[-1]
    held = next(
        v
        for v, found in attempts.items()
        if any(len(a) == len(taken) and (a[-1], a[0]) == (at, start) for a in found)
    )
    names = asked.steps[0] if asked.order != "any" else [n for step in asked.steps for n in step]
    told = [e for e in logs[held] if e.at == start and e.name in names and asked.by in e.properties]
    return min((e.properties[asked.by] for e in told), default=None)


def quantile(values: Sequence[int], share: float) -> float | None:
    """On the straight line between the two values beside the place (n - 1) * share."""
    if not values:
        return None
    ordered, place = sorted(values), (len(values) - 1) * share
    low = int(place + 1e-9)
    high = min(low + 1, len(values) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def figures(found: Mapping[str, Person], steps: int) -> list[dict[str, Any]]:
    """users, still_open and seconds of each step."""
    rows = []
    for step in range(steps):
        taken = [p.seconds[step] for p in found.values() if len(p.taken) > step]
        stopped = [p for p in found.values() if len(p.taken) == step + 1 and p.still_open]
        rows.append({"users": len(taken), "still_open": len(stopped), "seconds": taken})
    return rows
