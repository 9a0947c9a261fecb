"""Which cutoffs can have labels: those whose horizon lies wholly inside the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count, takewhile

from events.store import EventStore
from features.time import Cutoff
from runtime.clock import DAY, MICROSECOND, show
from runtime.errors import LabelError
from runtime.settings import Settings

MOST_DAYS_APART = 30


def require_history(store: EventStore, cutoff: Cutoff) -> None:
    """Raises LabelError where no event lies before the cutoff."""
    if cutoff.at <= store.first:
        raise LabelError(
            f"cutoff {show(cutoff.at)}: no event lies before it; the log begins at "
            f"{show(store.first)}, choose a later instant"
        )


def longest_horizon_days(settings: Settings) -> int:
    return max(settings.churn.horizon_days, settings.value_horizon_days)


def label_end(cutoff: Cutoff, settings: Settings) -> datetime:
    """The end of everything the labels at a cutoff read."""
    return cutoff.horizon(settings.churn.gap_days, longest_horizon_days(settings)).end


def matured(cutoff: Cutoff, store: EventStore, settings: Settings) -> bool:
    """Whether the log is complete up to the end of the cutoff's labels."""
    return label_end(cutoff, settings) <= store.covered_until


def require_matured(cutoff: Cutoff, store: EventStore, settings: Settings) -> None:
    """Raises LabelError where the cutoff lies before the log or its labels are not known yet."""
    require_history(store, cutoff)
    if not matured(cutoff, store, settings):
        newest = store.covered_until - (label_end(cutoff, settings) - cutoff.at)
        raise LabelError(
            f"cutoff {show(cutoff.at)}: its labels need events until "
            f"{show(label_end(cutoff, settings))}, the log is complete until "
            f"{show(store.covered_until)}; choose a cutoff at or before {show(newest)}"
        )


def matured_cutoffs(store: EventStore, settings: Settings) -> list[Cutoff]:
    """Every cutoff that could be trained on, newest first; the split chooses among them.

    `covered_until - gap - longest horizon - k * every_days`, as long as `min_history_days`
    (default half the longest horizon) of the log lie before. Raises LabelError naming the
    longest horizon that would mature where none has.
    """
    horizon = longest_horizon_days(settings)
    newest = store.covered_until - timedelta(days=settings.churn.gap_days + horizon)
    every = spacing_days(settings)
    history = settings.training.min_history_days or horizon // 2
    candidates = (Cutoff(newest - k * every * DAY) for k in count())
    earliest = max(store.first + history * DAY, store.first + MICROSECOND)
    found = list(takewhile(lambda cutoff: cutoff.at >= earliest, candidates))
    if not found:
        raise LabelError(_none_matured(store, settings))
    return found


def spacing_days(settings: Settings) -> int:
    """How far training cutoffs lie apart."""
    return settings.training.every_days or min(settings.churn.horizon_days, MOST_DAYS_APART)


def _none_matured(store: EventStore, settings: Settings) -> str:
    length = store.covered_until - store.first - timedelta(days=settings.churn.gap_days)
    horizon = _longest(length, settings.training.min_history_days)
    told = (
        f"no label has matured: a horizon of {longest_horizon_days(settings)} days does not fit "
        f"the log from {show(store.first)} to {show(store.covered_until)} with enough history "
        "before it"
    )
    if horizon < 1:
        return f"{told}, and no other would; ingest a longer log"
    return f"{told}; the longest that would mature is {horizon} days (churn.horizon_days)"


def _longest(length: timedelta, history_days: int | None) -> int:
    """The longest horizon in days that leaves its history, and some, of a log before it.

    By default h + h // 2 days must fit: h is two thirds of the log, and sometimes a day more.
    """
    if history_days is not None:
        return length.days - history_days
    near = 2 * length.days // 3
    fits = (h for h in (near + 1, near) if h + h // 2 <= length.days and h * DAY < length)
    return next(fits, 0)
