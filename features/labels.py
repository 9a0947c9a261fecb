"""What happened after a cutoff: churn and value, and which cutoffs can have a label at all.

The label span is `[t + gap, t + gap + horizon)`; the gap `[t, t + gap)` feeds nothing.

passive   1 where no active event lies in the span, else 0
active    1 where a churn event or the users table's churn date lies in the span, else 0
lapse     1 where the lapse lies in the span, else 0. A renewal at r covers [r, r + period +
          grace); the lapse is the first instant at or after t that no renewal covers, so a
          renewal at the very instant the last one runs out is in time
value     the amounts of value events in `[t + gap, t + gap + value horizon)`, 0.0 where none;
          null for everyone where the log had no amount before the cutoff

Whoever churns in the gap, actively or by lapse, was already lost when the span begins: null.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count, takewhile

import polars as pl

from events.store import EventStore
from features.attributes import in_frame
from features.definitions import Definitions, marked
from features.eligible import covered, with_dates
from features.spec import require_history
from features.streams import ORDER
from features.time import Cutoff, Span
from runtime.clock import DAY, MICROSECOND, show
from runtime.errors import LabelError
from runtime.settings import Churn, Settings

MOST_DAYS_APART = 30


def label_plan(
    events: pl.LazyFrame,
    cutoff: Cutoff,
    settings: Settings,
    users: pl.LazyFrame | None,
    *,
    has_amount: bool = True,
) -> pl.LazyFrame:
    """`user_id`, `churn` (Int8) and `value` (Float64) of everyone with an event before t."""
    rows = marked(events, Definitions.of(settings)).sort(ORDER)
    return labels_of(rows, "user_id", cutoff, settings, users, has_amount=has_amount)


def labels_of(
    rows: pl.LazyFrame,
    key: str,
    cutoff: Cutoff,
    settings: Settings,
    users: pl.LazyFrame | None,
    *,
    has_amount: bool,
) -> pl.LazyFrame:
    """The same from marked rows in ORDER, whose users `key` tells apart."""
    churn = settings.churn
    span = cutoff.horizon(churn.gap_days, churn.horizon_days)
    gap = Span(cutoff.at, span.start)
    paid = cutoff.horizon(churn.gap_days, settings.value_horizon_days)
    rows = rows.filter(pl.col("ts") < max(span.end, paid.end))
    people = rows.group_by(key, maintain_order=True).agg(
        *([] if key == "user_id" else [pl.col("user_id").first()]),
        first_ts=pl.col("ts").min(),
        active=(pl.col("active") & span.holds()).sum(),
        ends_gap=(pl.col("ends") & gap.holds()).sum(),
        ends_span=(pl.col("ends") & span.holds()).sum(),
        value=pl.when(paid.holds()).then(pl.col("amount")).sum(),
    )
    people = people.filter(pl.col("first_ts") < cutoff.at)
    value = pl.col("value") if has_amount else pl.lit(None, dtype=pl.Float64)
    return _with_ends(people, rows, key, cutoff, settings, users).select(
        "user_id", churn=_churned(churn, gap, span).cast(pl.Int8), value=value
    )


def _with_ends(
    people: pl.LazyFrame,
    rows: pl.LazyFrame,
    key: str,
    cutoff: Cutoff,
    settings: Settings,
    users: pl.LazyFrame | None,
) -> pl.LazyFrame:
    if settings.churn.kind == "lapse":
        return people.join(_lapses(rows, key, cutoff, settings.churn), on=key, how="left")
    return with_dates(people, users, Definitions.of(settings))


def _lapses(rows: pl.LazyFrame, key: str, cutoff: Cutoff, churn: Churn) -> pl.LazyFrame:
    """The first lapse at or after the cutoff, a row a user who has one in the rows."""
    renewals = rows.filter(pl.col("ends")).sort(key, "ts")
    runs_out = pl.col("ts") + covered(churn)
    same_user = pl.col(key) == pl.col(key).shift(-1)
    in_time = (same_user & (pl.col("ts").shift(-1) <= runs_out)).fill_null(value=False)
    lapses = renewals.select(key, lapse=pl.when(~in_time).then(runs_out))
    return lapses.filter(pl.col("lapse") >= cutoff.at).group_by(key).agg(pl.col("lapse").min())


def _churned(churn: Churn, gap: Span, span: Span) -> pl.Expr:
    if churn.kind == "passive":
        return pl.col("active") == 0
    if churn.kind == "lapse":
        lost, leaves = gap.holds("lapse"), span.holds("lapse")
    else:
        lost, leaves = pl.col("ends_gap") > 0, pl.col("ends_span") > 0
        if churn.date_column is not None:
            date = in_frame(churn.date_column)
            lost, leaves = lost | gap.holds(date), leaves | span.holds(date)
    return pl.when(~lost).then(leaves)


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
    every = settings.training.every_days or min(settings.churn.horizon_days, MOST_DAYS_APART)
    history = settings.training.min_history_days or horizon // 2
    candidates = (Cutoff(newest - k * every * DAY) for k in count())
    earliest = max(store.first + history * DAY, store.first + MICROSECOND)
    found = list(takewhile(lambda cutoff: cutoff.at >= earliest, candidates))
    if not found:
        raise LabelError(_none_matured(store, settings))
    return found


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
