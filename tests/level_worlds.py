"""Worlds in which the level of churn moves, or does not, and a frozen model that knows nothing
of it. Users of hazard h are silent for d days after day c with probability
exp(-h * sum of pace(u) for u in [c, c + d))."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.binned import binned
from training.churn_level import Scored, Span

HORIZON = 60
STEP = 15
SPAN = Span(0.0, float(HORIZON))
Path = Callable[[np.random.Generator, int], np.ndarray]


def stable(random: np.random.Generator, days: int) -> np.ndarray:
    return np.zeros(days)


def walk(random: np.random.Generator, days: int) -> np.ndarray:
    return np.cumsum(random.normal(0, 0.05, days))


def season(random: np.random.Generator, days: int) -> np.ndarray:
    return 0.6 * np.sin(2 * np.pi * (np.arange(days) / 364 + random.random()))


def trend(random: np.random.Generator, days: int) -> np.ndarray:
    return random.choice([-1, 1]) * 0.002 * np.arange(days)


def spikes(random: np.random.Generator, days: int) -> np.ndarray:
    """A sale now and then: the newest outcomes mislead."""
    return np.repeat(random.choice([0.0, 1.0], days // 7 + 1, p=[0.85, 0.15]), 7)[:days]


PATHS: dict[str, Path] = {
    "stable": stable,
    "walk": walk,
    "season": season,
    "trend": trend,
    "spikes": spikes,
}


def world(
    path: Path, users: int, cutoffs: int, seed: int, mix: float = 0.0
) -> tuple[list[Scored], Scored, np.ndarray, np.ndarray]:
    """Scored cutoffs, oldest first, with labels known at the last; the last one; its margins and
    true churn probabilities. `mix`: how far the users' mean log hazard walks from cutoff to cutoff.
    """
    random = np.random.default_rng(seed)
    days = (cutoffs - 1) * STEP + HORIZON
    pace = np.exp(path(random, days + 1))
    total = np.concatenate([[0.0], np.cumsum(pace)])
    drift = np.cumsum(random.normal(0, mix, cutoffs)) if mix else np.zeros(cutoffs)
    now = (cutoffs - 1) * STEP
    scored, margin, true = [], np.empty(0), np.empty(0)
    for j in range(cutoffs):
        day = j * STEP
        hazard = np.exp(random.normal(-0.5 + drift[j], 1.0, users)) / HORIZON
        quiet = random.exponential(1.0, users) / hazard
        margin = -np.log(np.expm1(np.clip(hazard * HORIZON, 1e-6, 50)))
        true = np.exp(-hazard * (total[day + HORIZON] - total[day]))
        outcome = {
            d: (quiet >= total[day + d] - total[day]).astype(float)
            for d in (STEP, 2 * STEP, 3 * STEP, HORIZON)
            if day + d <= now
        }
        scored.append(
            Scored(
                day=float(day),
                all=binned(margin, np.zeros(users)),
                churn=binned(margin, outcome[HORIZON]) if HORIZON in outcome else None,
                early={d: binned(margin, y) for d, y in outcome.items() if d < HORIZON},
            )
        )
    return scored[:-1], scored[-1], margin, true
