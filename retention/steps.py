"""What a funnel is asked for: its steps, their order, what breaks an attempt; checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from events.properties import Dimension, dimension_of
from runtime.clock import DAY, MICROSECOND, show
from runtime.errors import UsageError
from runtime.settings import Settings

Order = Literal["sequential", "strict", "any"]
ORDERS: tuple[Order, ...] = get_args(Order)
LEAST_STEPS = 2
MOST_DAYS = 3650
Step = tuple[str, ...]
Written = str | Sequence[str]  # "a", "a|b", or a list of names as they are
_BETWEEN = re.compile(r"(?P<event>.+):(?P<first>\d+)-(?P<last>\d+)")


@dataclass(frozen=True)
class Exclusion:
    """An event that breaks an attempt between steps `first` and `last`, counted from 1."""

    event: str
    first: int
    last: int

    def written(self, steps: int) -> str:
        """As it is asked for in a funnel of so many steps."""
        everywhere = (self.first, self.last) == (1, steps)
        return self.event if everywhere else f"{self.event}:{self.first}-{self.last}"

    def breaks(self, step: int) -> bool:
        """Whether it does so on the way to this step, counted from 0."""
        return self.first <= step < self.last


@dataclass(frozen=True)
class FunnelQuestion:
    """`steps`: for each the events that are it, first to last. `within_us`: conversion window in
    microseconds. Starts count in `[since, until)`. `hold`: told by an event, the same on every
    step. `by`: told by the start, or an attribute of the user at it."""

    steps: tuple[Step, ...]
    within_us: int
    since: datetime | None
    until: datetime | None
    covered_until: datetime
    order: Order = "sequential"
    exclude: tuple[Exclusion, ...] = ()
    hold: Dimension | None = None
    by: Dimension | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What each step is called."""
        if self.order == "any":
            return tuple(f"any {n} of {len(self.steps)}" for n in range(1, len(self.steps) + 1))
        return tuple("|".join(step) for step in self.steps)

    @property
    def events(self) -> tuple[str, ...]:
        """The events of all steps, each once."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step))

    @property
    def starts(self) -> tuple[str, ...]:
        """The events that an attempt can start with."""
        return self.events if self.order == "any" else self.steps[0]

    def excluded(self, step: int) -> tuple[str, ...]:
        """The events that break an attempt on the way to this step, counted from 0."""
        return tuple(dict.fromkeys(e.event for e in self.exclude if e.breaks(step)))


def question(
    settings: Settings,
    covered_until: datetime,
    steps: Sequence[Written],
    window: timedelta,
    *,
    order: str = "sequential",
    exclude: Sequence[str] = (),
    hold: str | None = None,
    by: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> FunnelQuestion:
    """Raises UsageError for what cannot be meant; names of events are looked up elsewhere."""
    named = tuple(_step(written) for written in steps)
    if len(named) < LEAST_STEPS:
        count = f"{len(named)} step" + "s" * (len(named) != 1)
        raise UsageError(f"a funnel of {count}; name at least two events")
    if window <= timedelta():
        raise UsageError("a conversion window of no length; name at least one second")
    if since is not None and until is not None and until <= since:
        raise UsageError(f"--until {show(until)} is not after --since {show(since)}; swap them")
    asked = FunnelQuestion(
        steps=named,
        within_us=window // MICROSECOND,
        since=since,
        until=until,
        covered_until=covered_until,
        order=_order(order),
        exclude=tuple(_exclusion(text, named, order) for text in exclude),
        hold=_held(hold, settings),
        by=None if by is None else dimension_of(by, settings),
    )
    if asked.order == "any":
        _told_apart(named)
    return asked


def window_of(days: float) -> timedelta:
    """Days of 24 hours. Raises UsageError."""
    if not 0 < days <= MOST_DAYS:
        raise UsageError(
            f"a conversion window of {days:g} days; name more than 0 and at most {MOST_DAYS}"
        )
    return max(days * DAY, MICROSECOND)


def _step(written: Written) -> Step:
    names = written.split("|") if isinstance(written, str) else written
    step = tuple(dict.fromkeys(names))
    if not step or "" in step:
        raise UsageError(f"step '{written}': an event without a name; write one, or 'a|b'")
    return step


def _order(order: str) -> Order:
    for known in ORDERS:
        if order == known:
            return known
    raise UsageError(f"order '{order}' is not known; choose one of {', '.join(ORDERS)}")


def _exclusion(text: str, steps: tuple[Step, ...], order: str) -> Exclusion:
    found = _BETWEEN.fullmatch(text)
    event = found["event"] if found else text
    for number, step in enumerate(steps, 1):
        if event in step:
            raise UsageError(f"exclusion '{event}' is also step {number}; leave one of the two out")
    if not found:
        return Exclusion(event, 1, len(steps))
    if order == "any":
        raise UsageError(
            f"exclusion '{text}': in any order no step comes before another; leave out "
            f"':{found['first']}-{found['last']}'"
        )
    first, last = int(found["first"]), int(found["last"])
    if not 1 <= first < last <= len(steps):
        raise UsageError(
            f"exclusion '{text}': the funnel has steps 1 to {len(steps)}; write an earlier and a "
            f"later one of them, like '{event}:1-2'"
        )
    return Exclusion(event, first, last)


def _held(name: str | None, settings: Settings) -> Dimension | None:
    if name is None:
        return None
    held = dimension_of(name, settings)
    if held.kind == "attribute":
        raise UsageError(
            f"--hold {name}: an attribute of the user is the same on every step; name a property "
            "of events"
        )
    if held == Dimension("event", "column"):
        raise UsageError("--hold event: steps are events of several names; name a property")
    return held


def _told_apart(steps: tuple[Step, ...]) -> None:
    """In any order an event must tell which step it is, or be the same step written twice."""
    for number, step in enumerate(steps, 1):
        for other in steps[:number]:
            if set(step) != set(other) and (both := set(step) & set(other)):
                raise UsageError(
                    f"in any order '{min(both)}' would be two steps, '{'|'.join(other)}' and "
                    f"'{'|'.join(step)}'; name it in one of them"
                )
