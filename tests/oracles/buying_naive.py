"""BG/NBD, MBG/NBD and Gamma-Gamma as printed: a customer at a time, with plain gamma functions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from math import exp, lgamma, log
from typing import Any
from zoneinfo import ZoneInfo

import mpmath as mp


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def bg_log_likelihood(
    parameters: tuple[float, ...], x: float, t: float, age: float, extra: int
) -> float:
    """Fader, Hardie & Lee 2005, eq. 6; extra 1: Batislam et al. 2007, eq. 3 (one chance more)."""
    r, alpha, a, b = parameters
    k = x + extra
    buys = lgamma(r + x) - lgamma(r) + r * log(alpha)
    stays = _log_beta(a, b + k) - _log_beta(a, b) + buys - (r + x) * log(alpha + age)
    if k == 0:
        return stays
    left = _log_beta(a + 1, b + k - 1) - _log_beta(a, b) + buys - (r + x) * log(alpha + t)
    most = max(stays, left)
    return most + log(exp(stays - most) + exp(left - most))


def spend_log_likelihood(parameters: tuple[float, ...], n: float, mean: float) -> float:
    """Fader & Hardie 2013, eq. 1a."""
    p, q, gamma = parameters
    return (
        lgamma(p * n + q)
        - lgamma(p * n)
        - lgamma(q)
        + q * log(gamma)
        + (p * n - 1) * log(mean)
        + p * n * log(n)
        - (p * n + q) * log(gamma + mean * n)
    )


def alive(parameters: tuple[float, ...], x: float, t: float, age: float, extra: int) -> float:
    """The part of the likelihood in which the customer stays."""
    r, alpha, a, b = parameters
    k = x + extra
    if k == 0:
        return 1.0
    return 1 / (1 + a / (b + k - 1) * ((alpha + age) / (alpha + t)) ** (r + x))


def expected_purchases(
    parameters: tuple[float, ...], x: float, t: float, age: float, horizon: float, extra: int
) -> float:
    """Fader, Hardie & Lee 2005, eq. 10, in forty digits; extra 1: with b + 1 for b."""
    r, alpha, a, b = (mp.mpf(v) for v in parameters)
    with mp.workdps(40):
        c = a + b + x + extra - 1
        z = mp.mpf(horizon) / (alpha + age + horizon)
        series = mp.hyp2f1(r + x, b + x + extra, c, z)
        bracket = 1 - ((alpha + age) / (alpha + age + horizon)) ** (r + x) * series
        return float(c / (a - 1) * bracket * alive(parameters, x, t, age, extra))


def summary(
    rows: Iterable[tuple[str, datetime, float | None]], cutoff: datetime, zone: str
) -> dict[str, dict[str, Any]]:
    """(x, t_x, T) in days and the mean spends of each user, row by row."""
    days: dict[str, dict[date, float]] = {}
    for user, ts, amount in rows:
        if ts < cutoff and amount is not None and amount > 0:
            day = ts.astimezone(ZoneInfo(zone)).date()
            mine = days.setdefault(user, {})
            mine[day] = mine.get(day, 0.0) + amount
    last = (cutoff - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
    found = {}
    for user, mine in days.items():
        first, spends = min(mine), [mine[day] for day in sorted(mine)]
        found[user] = {
            "frequency": len(mine) - 1,
            "recency": (max(mine) - first).days,
            "age": (last - first).days,
            "repeat_mean": sum(spends[1:]) / (len(spends) - 1) if len(spends) > 1 else None,
            "mean": sum(spends) / len(spends),
        }
    return found
