"""Logs of newcomers in which it is known what marks those who stay and pay: one thing, or
nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from events.contract import EVENTS
from retention.early_plan import MINUTE_US, EarlyQuestion
from runtime.settings import Activity, Value

START = datetime(2024, 1, 1, tzinfo=UTC)
SPLIT = START + timedelta(days=50)
DAYS = 100  # over which users come, evenly
EVENTS_KINDS = tuple(f"e{n}" for n in range(8))
OFTEN = (0.3, 0.5, 0.8, 1.2, 1.8, 2.5, 4.0, 6.0)  # of each kind, in the first 7 days
STAY, PAY = 0.4, 0.2  # of those who are not marked

ASKED = EarlyQuestion(
    activity=Activity(),
    value=Value(),
    pay_events=(),
    leaving=(),
    properties=(),
    date_only=False,
    session_gap_us=30 * MINUTE_US,
    first_days=(1, 3, 7),
    counts=(1, 2, 3, 5, 8),
    stay=(30, 60),
    pay_until=60,
    since=None,
    until=None,
    last=START + timedelta(days=DAYS),
    split=SPLIT,
    zone="UTC",
)


def newcomers(
    users: int, seed: int, *, pay_ratio: float = 1.0, stay_ratio: float = 1.0
) -> pl.DataFrame:
    """user_id, ts, event, amount. Kind e4 at least 3 times in the first 7 days marks who pays
    `pay_ratio` times as often as others, and e2 at least once on the first day who stays
    `stay_ratio` times as often. Everything else is drawn apart from it."""
    random = np.random.default_rng(seed)
    came = random.uniform(0, DAYS, users)
    parts = [(np.arange(users), came, "open", None)]
    done = {}
    for kind, often in zip(EVENTS_KINDS, OFTEN, strict=True):
        who = np.repeat(np.arange(users), random.poisson(often, users))
        at = random.uniform(0.001, 7, who.size)
        parts.append((who, came[who] + at, kind, None))
        done[kind] = who, at
    pays = random.random(users) < PAY * np.where(_times(*done["e4"], users, 7) >= 3, pay_ratio, 1)
    first_day = _times(*done["e2"], users, 1) >= 1
    stays = random.random(users) < STAY * np.where(first_day, stay_ratio, 1)
    payers, stayers = np.flatnonzero(pays), np.flatnonzero(stays)
    parts.append((payers, came[payers] + random.uniform(8, 29, payers.size), "buy", 9.0))
    parts.append((stayers, came[stayers] + random.uniform(30.01, 59.9, stayers.size), "open", None))
    return pl.concat(_frame(*part) for part in parts)


def busy_and_calm(users: int, seed: int) -> pl.DataFrame:
    """Half of the users are busy (20 opens on the first day instead of 4) and do `x` in 60 % and
    stay in 60 %; of the others it is 10 % and 20 %."""
    random = np.random.default_rng(seed)
    came, busy = random.uniform(0, DAYS, users), np.arange(users) % 2 == 0
    who = np.repeat(np.arange(users), np.where(busy, 20, 4))
    did = np.flatnonzero(random.random(users) < np.where(busy, 0.6, 0.1))
    stays = np.flatnonzero(random.random(users) < np.where(busy, 0.6, 0.2))
    parts = (
        (who, came[who] + random.uniform(0, 0.9, who.size), "open", None),
        (did, came[did] + 0.95, "x", None),
        (stays, came[stays] + 40, "open", None),
    )
    return pl.concat(_frame(*part) for part in parts)


def orders(users: int, seed: int) -> pl.DataFrame:
    """Who orders on the first day orders again in 60 %, others in 15 %. An order is delivered an
    hour later; some order twice on that day, so that days of orders are fewer than orders."""
    random = np.random.default_rng(seed)
    came, early = random.uniform(0, DAYS, users), random.random(users) < 0.5
    first, twice = np.flatnonzero(early), np.flatnonzero(early & (random.random(users) < 0.4))
    again = np.flatnonzero(random.random(users) < np.where(early, 0.6, 0.15))
    placed = [(first, 0.3), (twice, 0.5), (again, 10.0), (again, 40.0)]
    parts = [(np.arange(users), came, "open", None)]
    for who, after in placed:
        parts.append((who, came[who] + after, "order", 9.0))
        parts.append((who, came[who] + after + 0.04, "delivered", None))
    return pl.concat(_frame(*part) for part in parts)


def _times(who: np.ndarray, at: np.ndarray, users: int, days: float) -> np.ndarray:
    return np.bincount(who[at < days], minlength=users)


def _frame(who: np.ndarray, day: np.ndarray, event: str, amount: float | None) -> pl.DataFrame:
    microseconds = pl.Series((day * 86_400_000_000).astype(np.int64), dtype=pl.Duration("us"))
    frame = pl.DataFrame({"user_id": [f"u{n:06d}" for n in who], "after": microseconds})
    frame = frame.select(
        "user_id",
        ts=pl.lit(START, EVENTS.schema["ts"]) + pl.col("after"),
        event=pl.lit(event),
        amount=pl.lit(amount, pl.Float64),
    )
    blank = [pl.lit(None, t).alias(n) for n, t in EVENTS.schema.items() if n not in frame.columns]
    return frame.with_columns(blank)
