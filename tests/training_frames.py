"""Frames like those of snapshots, small and with something to learn in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from features.definitions import Definitions
from features.spec import FeatureSpec
from features.time import Cutoff, Window
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value
from training.task import Task
from training.years import Year

NEWEST = datetime(2024, 6, 1, tzinfo=UTC)
FEATURES = ("recency_days", "events_30d", "amount_90d", "tenure_days", "sessions_7d")


def cutoffs(count: int, every_days: int = 30) -> list[Cutoff]:
    """`count` cutoffs, newest first."""
    return [Cutoff(NEWEST - timedelta(days=every_days * k)) for k in range(count)]


def snapshot_frame(
    at: Sequence[Cutoff], users: int = 400, seed: int = 0, amounts: bool = True
) -> pl.DataFrame:
    """Rows sorted by (cutoff, user_id), a quarter of `amount_90d` missing."""
    random = np.random.default_rng(seed)
    names = [f"u{i:05d}" for i in range(users)]
    taste = random.normal(size=users)
    frames = [_at(cutoff, names, taste, random, amounts) for cutoff in sorted(at)]
    return pl.concat(frames)


def _at(
    cutoff: Cutoff, names: list[str], taste: np.ndarray, random: np.random.Generator, amounts: bool
) -> pl.DataFrame:
    n = len(names)
    recency = random.exponential(20 * np.exp(-0.5 * taste))
    events = random.poisson(4 * np.exp(0.5 * taste))
    odds = 0.8 * np.log1p(recency) - 0.6 * np.log1p(events) - 0.5 * taste - 1
    churn = random.random(n) < 1 / (1 + np.exp(-odds))
    spent = np.where(churn, 0.0, random.gamma(2.0, 10 * np.exp(0.4 * taste)))
    amount = pl.Series(random.gamma(2.0, 30 * np.exp(taste)))
    gone = pl.Series(random.random(n) < 0.25)
    return pl.DataFrame(
        {
            "cutoff": pl.Series([cutoff.at] * n, dtype=pl.Datetime("us", "UTC")),
            "user_id": names,
            "recency_days": recency,
            "events_30d": events.astype(np.int64),
            "amount_90d": pl.select(pl.when(~gone).then(amount)).to_series(),
            "tenure_days": random.integers(30, 400, n),
            "sessions_7d": random.poisson(2, n),
            "churn": churn.astype(np.int8),
            "value": pl.Series(spent if amounts else [None] * n, dtype=pl.Float64),
        }
    )


def a_spec() -> FeatureSpec:
    return FeatureSpec(
        windows=(Window(30), Window(90)),
        events=("buy", "look"),
        channels=(),
        pools_events=False,
        pools_channels=False,
        has_amount=True,
        has_events=True,
        has_channels=False,
        has_times=True,
        session_gap_minutes=30,
        timezone="UTC",
        definitions=Definitions(Activity(), Eligible(), Churn(), Value()),
    )


def a_task(kind: str = "logistic") -> Task:
    return Task(kind, a_spec(), FEATURES, NEWEST, seed=0, device=Device("cpu", "a test"))


def a_year(alike: float, pace: np.ndarray, users: float = 1e9) -> Year:
    """Of so many users a week. `pace`: logarithms, newest week first."""
    return Year(alike, users * np.exp(pace), np.full(len(pace), users))
