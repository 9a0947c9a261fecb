"""The rules of alerts, on plain numbers: each with how often it is wrong by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from events.baseline import Rule, deviations
from events.grid import Days

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DECILES = 10
SMALL = 1e-4  # a share of nothing


@dataclass(frozen=True)
class Fall:
    """The newest cohort's share against that of the earlier ones; `p`: how often by chance it
    is as far off, either way."""

    found: float
    expected: float
    p: float


def changed_share(retained: Sequence[int], users: Sequence[int], level: float) -> Fall | None:
    """The last of the cohorts against all before it, where it differs with p below `level`.

    Two proportions, pooled under the null; the variance is widened by how much more than
    binomial the earlier cohorts differ among themselves (Pearson's chi-squared over its degrees
    of freedom, at least 1), and that is known from few, so t has theirs. None for fewer than
    three earlier cohorts.
    """
    from scipy.stats import t

    kept, size = np.asarray(retained, float), np.asarray(users, float)
    before, n, last = kept[:-1].sum(), size[:-1].sum(), size[-1]
    cohorts = int((size[:-1] > 0).sum())
    if cohorts < 3 or last == 0:  # noqa: PLR2004
        return None
    usual, pooled = before / n, (before + kept[-1]) / (n + last)
    if not 0 < pooled < 1:
        return None
    spread = ((kept[:-1] - size[:-1] * usual) ** 2)[size[:-1] > 0]
    variance = (size[:-1] * usual * (1 - usual))[size[:-1] > 0]
    wide = max(1.0, float((spread / variance).sum()) / (cohorts - 1)) if 0 < usual < 1 else 1.0
    away = kept[-1] / last - usual
    score = abs(away) / np.sqrt(wide * pooled * (1 - pooled) * (1 / n + 1 / last))
    p = float(2 * t.sf(score, cohorts - 1))
    return Fall(float(kept[-1] / last), float(usual), p) if p < level else None


def stability_index(before: Counts, after: Counts) -> float:
    """PSI of two histograms over the same fine bins, by the deciles of the first: the sum of
    (b - a) ln(b / a) over the shares of both; 0.1 is called a small shift, 0.25 a large one."""
    upto = np.cumsum(before) / before.sum()
    edges = np.searchsorted(upto, np.arange(1, DECILES) / DECILES) + 1
    edges = np.unique(edges[edges < len(before)])
    shares = [np.add.reduceat(h, [0, *edges]) / h.sum() for h in (before, after)]
    old, new = (np.maximum(share, SMALL) for share in shares)
    return float(((new - old) * np.log(new / old)).sum())


def index_by_chance(before: int, after: int) -> float:
    """What the index is on average where nothing has shifted: (deciles - 1)(1/n + 1/m)."""
    return (DECILES - 1) * (1 / before + 1 / after)


@dataclass(frozen=True)
class Odd:
    """Days from `start` on, up to the newest, that are off; `found` of the newest day."""

    start: int
    found: int
    expected: float


def odd_of_late(counts: Counts, calendar: Days, rule: Rule, days: int) -> Odd | None:
    """The newest run of days off their seasonal baseline (`events.baseline`) that reaches into
    the last `days`. `counts`: shape (days,)."""
    alive = np.cumsum(counts) > 0
    found = deviations(counts[:, None], alive[:, None], rule, calendar)
    sign = found.sign[:, 0]
    late = np.flatnonzero(sign[-days:]) + max(len(sign) - days, 0)
    if not late.size:
        return None
    last = int(late[-1])
    start = last
    while start > 0 and sign[start - 1] == sign[last]:
        start -= 1
    return Odd(start, int(counts[last]), float(found.expected[last, 0]))
