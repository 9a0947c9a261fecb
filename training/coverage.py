"""Coverage of value intervals over past cutoffs, and misses adapted to it.

At each past cutoff the interval is calibrated on the newest cutoff matured by then, with the
misses that had been settled on by then, and judged by what came after. The misses allowed move
after each cutoff whose labels have matured: `allowed += rate * (misses - missed)` (adaptive
conformal inference, Gibbs & Candes 2021, eq. 2), so that the mean coverage over time is right
whatever the drift. The rate is settled on the same past: the one with the least interval loss
(Winkler 1972), 0 where fewer than LEAST_CUTOFFS lie an embargo apart or nothing beats it clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.churn_level import Span
from training.conformal import Conformal, Names, covered, fit_conformal
from training.metrics import Floats

RATES = (0.0, 0.1, 0.3)
LEAST_CUTOFFS = 3.0
CLEARLY = 0.01  # a rate must lower the loss by this share
LEAST_ALLOWED, MOST_ALLOWED = 0.005, 0.5


@dataclass(frozen=True)
class Forecast:
    """One cutoff: quantiles (n, levels) of a model that had not seen it, value (n,) or None where
    not matured, users (n,)."""

    day: float
    quantiles: Floats
    value: Floats | None
    users: Names | None = None


@dataclass(frozen=True)
class Tracked:
    """`conformal`: for the present cutoff; `rows`: one for each past cutoff and rate; `coverage`:
    the mean over past cutoffs at the chosen rate, None without any."""

    conformal: Conformal
    rate: float
    allowed: float
    coverage: float | None
    rows: tuple[dict[str, Any], ...]


def track(
    past: Sequence[Forecast],
    levels: Sequence[float],
    now_day: float,
    span: Span,
    misses: float = 0.1,
) -> Tracked | None:
    """The interval for `now_day` from `past`; None where no label has matured by then."""
    matured = [one for one in past if one.day + span.embargo_days <= now_day]
    past = sorted((one for one in matured if one.value is not None), key=lambda one: one.day)
    newest = _newest(past, now_day, span)
    if newest is None:
        return None
    runs = {rate: _run(past, levels, now_day, span, misses, rate) for rate in RATES}
    rate = _best({rate: rows for rate, (rows, _) in runs.items()}, span)
    rows, allowed = runs[rate]
    found = [row["coverage"] for row in rows]
    return Tracked(
        conformal=_fit(newest, levels, allowed),
        rate=rate,
        allowed=allowed,
        coverage=float(np.mean(found)) if found else None,
        rows=tuple(row | {"chosen": r == rate} for r, (each, _) in runs.items() for row in each),
    )


def _newest(past: Sequence[Forecast], day: float, span: Span) -> Forecast | None:
    known = [one for one in past if one.day + span.embargo_days <= day]
    return known[-1] if known else None


def _fit(one: Forecast, levels: Sequence[float], misses: float) -> Conformal:
    assert one.value is not None
    return fit_conformal(one.quantiles, levels, one.value, one.users, misses)


def _run(
    past: Sequence[Forecast],
    levels: Sequence[float],
    now_day: float,
    span: Span,
    misses: float,
    rate: float,
) -> tuple[list[dict[str, Any]], float]:
    """The rows at one rate, and the misses allowed in the end."""
    rows: list[dict[str, Any]] = []
    for one in past:
        basis = _newest(past, one.day, span)
        if basis is None or one.value is None:
            continue
        allowed = _allowed(rows, one.day, span, misses, rate)
        interval = _fit(basis, levels, allowed)
        low, high = interval(one.quantiles)
        inside = covered(interval, one.quantiles, one.value)
        rows.append(
            {
                "day": one.day,
                "rate": rate,
                "allowed": allowed,
                "rows": len(inside),
                "coverage": float(inside.mean()),
                "width": float(np.mean(high - low)),
                "loss": _interval_loss(low, high, one.value, misses),
            }
        )
    return rows, _allowed(rows, now_day, span, misses, rate)


def _allowed(
    rows: Sequence[dict[str, Any]], day: float, span: Span, misses: float, rate: float
) -> float:
    """After all updates that had matured by `day`; cutoffs that share an embargo share a step."""
    known = [row for row in rows if row["day"] + span.embargo_days <= day]
    apart = 1.0
    if len(known) > 1:
        apart = min(
            1.0, (known[-1]["day"] - known[0]["day"]) / (len(known) - 1) / span.embargo_days
        )
    allowed = misses
    for row in known:
        allowed += rate * apart * (misses - (1 - row["coverage"]))
        allowed = float(np.clip(allowed, LEAST_ALLOWED, MOST_ALLOWED))
    return allowed


def _interval_loss(low: Floats, high: Floats, value: Floats, misses: float) -> float:
    """Width and, for each unit of money missed by, 2 / misses more. Winkler 1972."""
    under, over = np.maximum(low - value, 0.0), np.maximum(value - high, 0.0)
    return float(np.mean(high - low + 2 / misses * (under + over)))


def _best(runs: dict[float, list[dict[str, Any]]], span: Span) -> float:
    still = runs[0.0]
    if len(still) <= 1:
        return 0.0
    apart = 1 + (still[-1]["day"] - still[0]["day"]) / span.embargo_days
    if min(apart, len(still)) < LEAST_CUTOFFS:
        return 0.0
    losses = {rate: float(np.mean([row["loss"] for row in rows])) for rate, rows in runs.items()}
    best = min(losses, key=lambda rate: (losses[rate], rate))
    return best if losses[best] < (1 - CLEARLY) * losses[0.0] else 0.0
