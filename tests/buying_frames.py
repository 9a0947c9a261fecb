"""Frames of snapshots of users who come back as BG/NBD says, with the features that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from training_frames import NEWEST, a_task

from features.time import Cutoff
from training.task import Task

DAYS, HORIZON = 300.0, 30
FEATURES = (
    "active_days_total",
    "amount_mean",
    "events_30d",
    "purchase_recency_days",
    "purchase_tenure_days",
    "purchases_total",
    "recency_days",
    "tenure_days",
)


def a_buying_task(**changed: Any) -> Task:
    return replace(a_task("buying"), **{"features": FEATURES, **changed})


def visits(users: int, seed: int = 0) -> list[np.ndarray]:
    """Of each user the days of activity in [0, DAYS), one at least."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(users):
        rate, leaves, day = random.gamma(1.0, 1 / 20), random.beta(1.0, 4.0), random.uniform(0, 200)
        days = [day]
        while random.random() > leaves and (day := day + random.exponential(1 / rate)) < DAYS:
            days.append(day)
        found.append(np.array(days))
    return found


def buying_frame(
    at: Sequence[Cutoff], users: int = 400, seed: int = 0, horizon: int = HORIZON
) -> pl.DataFrame:
    """Sorted by (cutoff, user_id); the newest cutoff of all is day DAYS less the horizon. Half of
    the users buy at each visit, the others never."""
    random = np.random.default_rng(seed + 1)
    known, usual = visits(users, seed), random.gamma(4.0, 5.0, users)
    spent = [random.gamma(3.0, usual[u] / 3, len(days)) for u, days in enumerate(known)]
    rows = []
    for cutoff in sorted(at):
        now = DAYS - horizon - (NEWEST - cutoff.at) / timedelta(days=1)
        for u, days in enumerate(known):
            past, soon = days < now, (days >= now) & (days < now + horizon)
            if past.any():
                first, last = float(now - days[0]), float(now - days[past][-1])
                rows.append(
                    {
                        "cutoff": cutoff.at,
                        "user_id": f"u{u:04d}",
                        "active_days_total": int(past.sum()),
                        "recency_days": last,
                        "tenure_days": first,
                        "events_30d": int((past & (days >= now - 30)).sum()),
                        "churn": int(not soon.any()),
                        "value": float(spent[u][soon].sum()) if u % 2 else 0.0,
                        "purchases_total": int(past.sum()) if u % 2 else 0,
                        "purchase_recency_days": last if u % 2 else None,
                        "purchase_tenure_days": first if u % 2 else None,
                        "amount_mean": float(spent[u][past].mean()) if u % 2 else None,
                    }
                )
    kinds = {"cutoff": pl.Datetime("us", "UTC"), "churn": pl.Int8}
    return pl.DataFrame(rows, infer_schema_length=None).cast(kinds)  # type: ignore[arg-type]
