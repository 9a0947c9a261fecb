"""What churn could mean in a log: an act where it has one, else silence of a sensible length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from events.propose_look import Look
from events.propose_plan import Plan
from events.propose_words import listed, words_of
from events.timestamps import counts_since

ENDINGS = ("cancel", "churn", "unsubscri", "terminat", "uninstall", "deactivat", "quit", "left")
END_DATES = (*ENDINGS, "end", "close", "leave", "expir")
OF_ORDERS = (
    *("order", "cart", "booking", "payment", "checkout", "click", "view", "reservation"),
    *("class", "lesson", "appointment", "trip", "ride", "delivery", "visit", "meeting", "ticket"),
)
LENGTHS = (1, 2, 3, 7, 14, 21, 30, 60, 90, 182, 365)
LEAST_SILENCE = 7  # days: a shorter one is a busy week, or a weekend
_SHARE_OF_SPAN = 0.2  # five horizons fit into the log: several cutoffs mature
_USUAL_GAP = 0.9  # quantile of the gaps between active days
_RARE = 0.002
_SEEN_TWICE = 0.02
_COMMON = 0.95
_LEAST_USERS, _HALF = 20, 0.5
MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Churn:
    """`why` in words, a comment each. `events` or `date_column` where it is an act. `seen_once`:
    hardly any user was active on two days."""

    horizon_days: int
    within_days: int | None
    events: tuple[str, ...]
    date_column: str | None
    why: tuple[str, ...]
    seen_once: bool = False

    @property
    def kind(self) -> str:
        return "active" if self.events or self.date_column else "passive"


def propose_churn(plan: Plan, log: pl.DataFrame) -> Churn:
    """`log`: as of `some_users`."""
    span, most = _span_days(log), longest_horizon(log)
    days = active_days(log)
    gap, repeat_share = float(days["gap"].quantile(_USUAL_GAP) or 30.0), _repeat_share(days)
    horizon = length(max(gap, LEAST_SILENCE), most)
    within = 2 * horizon
    if column := _end_date(plan):
        why = f"the users table's '{column}' says when a user left"
        return Churn(length(30, most), None, (), column, (why,))
    acts, gone_on = _ending_events(log)
    if acts:
        why = "these events say that a user leaves"
        return Churn(length(30, most), None, acts, None, (why,))
    why = f"the log spans {span:.0f} days"
    if repeat_share < _SEEN_TWICE:
        return Churn(horizon, None, (), None, (why,), seen_once=True)
    spoken = [f"no end is {listed(gone_on)}: users go on after it"] if gone_on else []
    spoken += [
        f"nine of ten gaps between a user's active days are of {gap:.0f} days or less, and {why}"
    ]
    if horizon == LEAST_SILENCE > gap:
        spoken.append("a silence shorter than a week says little")
    if repeat_share < 0.5:  # noqa: PLR2004 (most users come once: everyone is worth a score)
        return Churn(horizon, None, (), None, tuple(spoken))
    return Churn(horizon, within, (), None, tuple(spoken))


def _span_days(log: pl.DataFrame) -> float:
    span = log.select((pl.col("ts").max() - pl.col("ts").min()).dt.total_seconds()).item()
    return float(span or 0) / 86_400


def longest_horizon(log: pl.DataFrame) -> int:
    """In days: several cutoffs mature with it."""
    return max(1, math.floor(_span_days(log) * _SHARE_OF_SPAN))


def active_days(log: pl.DataFrame) -> pl.DataFrame:
    """Each user's days with a row; `gap`: days since the one before, null for the first."""
    days = log.select("user", day=pl.col("ts").dt.date()).unique().sort("user", "day")
    return days.with_columns(gap=pl.col("day").diff().over("user").dt.total_days())


def _repeat_share(days: pl.DataFrame) -> float:
    again = days.filter(pl.col("gap").is_not_null())["user"].n_unique()
    return again / max(1, days["user"].n_unique())


def length(wanted: float, most: int) -> int:
    """The first usual length that is not below `wanted`, cut to what the log allows."""
    fitting = [days for days in LENGTHS if days <= most] or [1]
    return next((days for days in fitting if days >= wanted), fitting[-1])


def speaks_of(name: str, stems: Sequence[str]) -> bool:
    return any(word.startswith(stem) for word in words_of(name) for stem in stems)


def _ending_events(log: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those after which users are gone; and those that are called ends alone."""
    users = max(1, log["user"].n_unique())
    names = log["event"].drop_nulls().unique().sort()
    called = [n for n in names if speaks_of(n, ENDINGS) and not speaks_of(n, OF_ORDERS)]
    acts = tuple(name for name in called if _are_left(log, name))
    share = log.filter(pl.col("event").is_in(acts))["user"].n_unique() / users if acts else 0.0
    return (
        acts if _RARE <= share <= _COMMON else (),
        tuple(name for name in called if name not in acts),
    )


def _are_left(log: pl.DataFrame, act: str) -> bool:
    """Whether who did it is half as likely as after any other row, or less, to be there between a
    month and two after; the name alone tells where hardly anybody has done it so long ago."""
    end, some = log["ts"].max(), min(MONTH, timedelta(days=_span_days(log) / 10))
    others = log.filter(pl.col("event").ne_missing(pl.lit(act))).sort("ts")
    old = log.filter(pl.col("ts") < pl.lit(end) - 2 * some)
    first = old.filter(pl.col("event") == act).sort("ts").unique("user", keep="first")
    if first.height < _LEAST_USERS:
        return True
    usual = _back(old.filter(pl.col("event").ne_missing(pl.lit(act))), others, some)
    return _back(first, others, some) <= _HALF * usual


def _back(rows: pl.DataFrame, others: pl.DataFrame, some: timedelta) -> float:
    """The share of rows after which the user has one of `others` between `some` and twice that."""
    later = rows.select("user", at=pl.col("ts") + some).sort("at")
    found = later.join_asof(
        others.select("user", "ts"),
        left_on="at",
        right_on="ts",
        by="user",
        strategy="forward",
        tolerance=some,
        check_sortedness=False,
    )
    return 1 - found["ts"].null_count() / max(1, found.height)


def _end_date(plan: Plan) -> str | None:
    if plan.users is None:
        return None
    named = [name for name in date_columns(plan.users[0]) if speaks_of(name, END_DATES)]
    return named[0] if named else None


def date_columns(look: Look) -> list[str]:
    """Those that can be read without a word: no numbers of days."""
    times = [c for c in look.columns if c.times is not None and c.known]
    return [c.name for c in times if not counts_since(c.time_format or "")]
