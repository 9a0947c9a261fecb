"""What a retention table is asked for: read from the call and [retention], checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from events.calendar import Period, known_period
from events.properties import Dimension, dimension_of
from events.store import EventStore
from features.time import Cutoff
from retention.anchors import Anchor, check_anchor
from retention.cells import Cell, Mode, cells_of, up_to_each_end
from runtime.clock import parse_instant
from runtime.errors import UsageError
from runtime.settings import Settings

Clock = Literal["calendar", "elapsed"]
Measure = Literal["users", "payers", "revenue", "arpu", "cumulative"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
MONEY: tuple[Measure, ...] = ("revenue", "arpu", "cumulative")
MOST_DAYS = 3660
# On the elapsed clock a week is 7 times and a month 30 times 24 hours from the anchor.
ELAPSED_DAYS: dict[Period, int] = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True)
class Did:
    """Did `event` at least so often in the first `days` days from the anchor, on the table's
    clock: calendar days, the anchor's being the first, or times 24 hours."""

    event: str
    at_least: int
    days: int


@dataclass(frozen=True)
class Question:
    """What a retention table is asked for, checked. `kept`: the values of `by` that are told
    apart, the others being pooled; None for all of them."""

    settings: Settings
    mode: Mode
    period: Period
    cohort: Period
    clock: Clock
    cells: tuple[Cell, ...]
    anchor: Anchor
    covered_until: datetime
    since: datetime | None = None
    until: datetime | None = None
    start: tuple[str, ...] | None = None
    back: tuple[str, ...] | None = None
    by: Dimension | None = None
    top: int = 10
    kept: tuple[str, ...] | None = None
    did: Did | None = None
    measure: Measure = "users"

    @property
    def zone(self) -> str:
        return self.settings.project.timezone

    @property
    def places(self) -> tuple[Cell, ...]:
        """The periods that are counted in each column: of a cumulative one those since the
        column before, so that running sums reach back to the anchor."""
        return up_to_each_end(self.cells) if self.measure == "cumulative" else self.cells

    @property
    def keys(self) -> tuple[str, ...]:
        """What the counts of a bucket are told apart by, beside the cell."""
        return ("cohort",) if self.by is None and self.did is None else KEYS

    @property
    def is_money(self) -> bool:
        return self.measure in MONEY

    @property
    def needs_users(self) -> bool:
        """Whether the users table is read."""
        churn = self.settings.churn
        by_date = churn.kind == "active" and churn.date_column is not None
        eligible = isinstance(self.anchor, Cutoff) and by_date
        return eligible or (self.by is not None and self.by.kind == "attribute")

    @property
    def counted(self) -> str:
        """What the column `users` counts, in words."""
        if self.anchor != "every":
            return "users"
        if self.clock == "calendar":
            return f"users in each {self.period} in which they started"
        return "starts: each instant at which a user had one"

    @property
    def named_events(self) -> dict[str, tuple[str, ...]]:
        """The events that are asked for by name, by what they are in the question."""
        did = () if self.did is None else (self.did.event,)
        return {"start": self.start or (), "back": self.back or (), "did": did}


KEYS = ("cohort", "group", "pooled")


def question_of(
    settings: Settings,
    store: EventStore,
    *,
    mode: str,
    period: str,
    periods: int | None,
    brackets: Sequence[tuple[int, int]] | None,
    cohort: str | None,
    clock: str,
    anchor: Anchor,
    since: datetime | None,
    until: datetime | None,
    start: Sequence[str] | None,
    back: Sequence[str] | None,
    by: str | None,
    top: int,
    did: Did | None,
    measure: str,
) -> Question:
    """Raises UsageError; LabelError for a cutoff with no event before it."""
    if clock not in ("calendar", "elapsed"):
        raise UsageError(f"clock '{clock}' is not known; choose 'calendar' or 'elapsed'")
    if measure not in MEASURES:
        raise UsageError(f"measure '{measure}' is not known; choose one of {', '.join(MEASURES)}")
    check_anchor(anchor, since, until, store)
    known = known_period(period)
    asked = Question(
        settings=settings,
        mode=mode,  # type: ignore[arg-type]  # checked by cells_of
        period=known,
        cohort=known if cohort is None else known_period(cohort),
        clock=clock,  # type: ignore[arg-type]  # checked above
        cells=cells_of(mode, known, periods, brackets),
        anchor=anchor,
        covered_until=store.covered_until,
        since=since,
        until=until,
        start=None if start is None else tuple(start),
        back=None if back is None else tuple(back),
        by=None if by is None else dimension_of(by, settings),
        top=top,
        did=did,
        measure=measure,
    )
    _check(asked)
    return asked


def _check(asked: Question) -> None:
    _check_names(asked)
    _check_grouping(asked)
    if asked.measure == "users":
        return
    if asked.mode == "rolling" and asked.is_money:
        raise UsageError(
            f"measure '{asked.measure}' has no rolling table, as money is not had for good; "
            "choose mode 'nday' or 'bracket'"
        )
    if asked.back is not None:
        raise UsageError(
            f"back '{asked.back[0]}' does not go with measure '{asked.measure}', which counts the "
            "events of [value]; leave one out"
        )
    sources = asked.settings.source
    if not any(s.columns.amount or s.constants.amount is not None for s in sources):
        raise UsageError(
            f"measure '{asked.measure}' needs amounts, and no source has them; name the column "
            "under source.columns.amount"
        )


def _check_names(asked: Question) -> None:
    for called, names in (("start", asked.start), ("back", asked.back)):
        if names is not None and not names:
            raise UsageError(f"{called} names no event; name one or leave it out")
    if asked.start is not None and isinstance(asked.anchor, Cutoff):
        raise UsageError(
            f"start '{asked.start[0]}' does not go with a cutoff, which no event makes; leave it "
            "out or choose anchor 'first'"
        )


def _check_grouping(asked: Question) -> None:
    by, did = asked.by, asked.did
    if by is not None and did is not None:
        raise UsageError(f"by '{by.name}' and did '{did.event}' both group the users; keep one")
    if asked.top < 1:
        raise UsageError(f"top {asked.top} is out of range; choose 1 or more")
    if by is not None and by.kind != "attribute" and isinstance(asked.anchor, Cutoff):
        raise UsageError(
            f"by '{by.name}' is told by an event, and a cutoff is none; name an attribute of "
            "[users]"
        )
    if did is None:
        return
    if did.at_least < 1:
        raise UsageError(f"at least {did.at_least} times is always so; choose 1 or more")
    if not 1 <= did.days <= MOST_DAYS:
        raise UsageError(f"the first {did.days} days are out of range; choose 1 to {MOST_DAYS}")


def as_set(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """[retention] with what the call gives (None: not given) in its place, as arguments of
    `retention.curve.retention`. What the call replaces takes with it what goes with it alone: a
    mode or periods the brackets, by the did, a cutoff the range and the start. Raises UsageError.
    """
    zone = settings.project.timezone
    said: dict[str, Any] = settings.retention.model_dump()
    own: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    dropped: set[str] = set()
    if {"mode", "periods"} & set(own):
        dropped |= {"brackets"}
    if "by" in own:
        dropped |= {"did"}
    if "did" in own:
        dropped |= {"by"}
    if "measure" in own and own["measure"] != "users":
        dropped |= {"back"}
    whole: dict[str, Any] = {n: None if n in dropped else v for n, v in said.items()} | own
    whole["anchor"] = _anchor_of(whole["anchor"], zone)
    if isinstance(whole["anchor"], Cutoff) and "anchor" in own:
        whole |= {name: own.get(name) for name in ("since", "until", "start")}
    for name in ("since", "until"):
        if whole[name] is not None:
            whole[name] = parse_instant(whole[name], zone)
    times, days = whole.pop("at_least"), whole.pop("in_first_days")
    if whole["did"] is not None:
        whole["did"] = Did(whole["did"], times, days)
    elif {"at_least", "in_first_days"} & set(own):
        raise UsageError("--at-least and --in-first-days go with --did; name the event")
    return whole


def _anchor_of(text: str, zone: str) -> Anchor:
    if text in ("first", "first_in_range", "every"):
        return text  # type: ignore[return-value]
    try:
        return Cutoff(parse_instant(text, zone))
    except UsageError:
        raise UsageError(
            f"anchor '{text}' is not known; choose 'first', 'first_in_range', 'every' or a date"
        ) from None


def keeping(asked: Question, kept: Sequence[str] | None) -> Question:
    """The question with all but these values pooled."""
    return replace(asked, kept=None if kept is None else tuple(kept))
