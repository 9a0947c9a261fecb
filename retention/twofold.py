"""Two groups compared: ratio and difference of two shares, with their uncertainty.

x1 of n1 with the behaviour against x0 of n0 without it; all intervals at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from retention.risk_ratio import risk_ratio
from runtime.wilson import Z_95, wilson

POWER = 0.8


@dataclass(frozen=True)
class Interval:
    """`value` and `high` are None where there is none: a ratio to a share of 0."""

    value: float | None
    low: float
    high: float | None


@dataclass(frozen=True)
class TwoShares:
    """`hits` of `users` with the behaviour, `other_hits` of `others` without it."""

    hits: int
    users: int
    other_hits: int
    others: int

    @property
    def rate(self) -> float:
        return self.hits / self.users

    @property
    def other_rate(self) -> float:
        return self.other_hits / self.others

    @property
    def all_rate(self) -> float:
        return (self.hits + self.other_hits) / (self.users + self.others)


def chi_square(t: TwoShares) -> float:
    """Pearson's statistic without a correction, 0 where everybody or nobody is hit. One degree
    of freedom; over one and the same number of users it orders tables by their phi."""
    p = t.all_rate
    variance = p * (1 - p) * (1 / t.users + 1 / t.others)
    return (t.rate - t.other_rate) ** 2 / variance if variance > 0 else 0.0


def fisher(t: TwoShares) -> float:
    """Fisher's exact test, two-sided: the chance of a table as unlikely as this or less so
    likely, given both sums, if the two shares were one."""
    from scipy.stats import fisher_exact

    table = [[t.hits, t.users - t.hits], [t.other_hits, t.others - t.other_hits]]
    return float(fisher_exact(table).pvalue)


def ratio(t: TwoShares) -> Interval:
    """The ratio of the shares with its score interval; see `risk_ratio`. Fagerland, Lydersen and
    Laake 2015 compare it with others."""
    counts = (t.hits, t.users, t.other_hits, t.others)
    value, low, high = (found.item() for found in risk_ratio(*np.array(counts, float)[:, None]))
    if t.other_hits == 0:
        return Interval(None, 0.0 if t.hits == 0 else low, None)
    return Interval(value, low, high)


def difference(t: TwoShares) -> Interval:
    """The difference of the shares. Newcombe 1998, method 10: Wilson's intervals of the two,
    squared and added."""
    value = t.rate - t.other_rate
    low1, high1 = share_interval(t.hits, t.users)
    low0, high0 = share_interval(t.other_hits, t.others)
    down = math.hypot(t.rate - low1, high0 - t.other_rate)
    up = math.hypot(high1 - t.rate, t.other_rate - low0)
    return Interval(value, value - down, value + up)


def share_interval(hits: int, users: int) -> tuple[float, float]:
    """Wilson's interval of the share, within 0 and 1."""
    low, high = wilson(hits / users, users)
    return max(low, 0.0), min(high, 1.0)


def within_strata(strata: Sequence[TwoShares]) -> Interval | None:
    """The ratio that is common to strata of like users. Mantel and Haenszel 1959, for ratios of
    shares Tarone 1981; its log's variance Greenland and Robins 1985. None where no stratum has
    users, hit and not, on both sides of it."""
    above = below = spread = 0.0
    for t in (t for t in strata if t.users and t.others):
        n = t.users + t.others
        above += t.hits * t.others / n
        below += t.other_hits * t.users / n
        hits = t.hits + t.other_hits
        spread += (t.users * t.others * hits - t.hits * t.other_hits * n) / n**2
    if above <= 0 or below <= 0:
        return None
    value = above / below
    reach = math.exp(Z_95 * math.sqrt(max(spread, 0.0) / (above * below)))
    return Interval(value, value / reach, value * reach)


def users_per_group(rate: float, other_rate: float) -> int | None:
    """How many users each of two groups needs so that a difference like this is seen with a
    power of 80 % at a two-sided 5 %; None where there is none. Fleiss, Levin and Paik 2003,
    eq. 4.14."""
    if rate == other_rate:
        return None
    mean = (rate + other_rate) / 2
    seen = NormalDist().inv_cdf(POWER)
    spread = rate * (1 - rate) + other_rate * (1 - other_rate)
    root = Z_95 * math.sqrt(2 * mean * (1 - mean)) + seen * math.sqrt(spread)
    return math.ceil((root / (rate - other_rate)) ** 2)
