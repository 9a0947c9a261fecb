"""The distribution of what a customer spends over a horizon, not only its mean.

n purchases are made with the probability of `buying_predict`; n amounts of Gamma(p, nu) sum to
Gamma(p n, nu); and nu given the known amounts is Gamma(q', gamma'). So the sum over gamma' is
beta prime distributed, and below v with the probability I_w(p n, q'), w = v / (gamma' + v), the
regularised incomplete beta function. The distribution of value is the mixture of these over n,
with P(n = 0) at 0: no simulation and no seed. Customers with equal x and n of known amounts share
one table of it, on a grid of v / gamma'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from runtime.errors import UsageError
from training.buying_data import Histories
from training.buying_fit import Fit
from training.buying_predict import Law, alike
from training.buying_spend import Spend, posterior
from training.metrics import Floats

Ints = npt.NDArray[np.int64]

SINGLE, GROWTH = 8, 1.12  # numbers of purchases up to SINGLE one by one, then in steps
GRID = 250  # points of v / gamma'
SNAP = 0.004  # alpha + T is rounded to steps of this share
LOWEST, HIGHEST = 1e-5, 1 - 1e-6
TAIL = 1e-6  # of the distribution of n that is counted with the last step
MOST_LEVEL = 0.9999


def purchase_quantiles(
    law: Law, known: Histories, horizon: float, levels: Sequence[float]
) -> Floats:
    """The least n with P(n purchases or fewer in (T, T + horizon]) >= level, shape (n, levels).

    Raises UsageError for a level outside (0, 0.9999] and a horizon without end.
    """
    _check(levels, horizon)
    none = law.silent(known, horizon)
    found = np.zeros((len(known), len(levels)))
    for place, level in enumerate(levels):
        some = np.flatnonzero(none < level)
        part = Histories(*(values[some] for values in vars(known).values()))
        low, high = np.zeros(len(some)), np.ones(len(some))
        while (short := law.more_than(part, horizon, high) > 1 - level).any():
            low, high = np.where(short, high, low), np.where(short, 2 * high, high)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            short = law.more_than(part, horizon, middle) > 1 - level
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        found[some, place] = high
    return found


def value_quantiles(
    law: Law, fit: Fit, known: Histories, spend: Spend, horizon: float, levels: Sequence[float]
) -> Floats:
    """Value in (T, T + horizon] that is not passed with probability `level`, in the currency,
    shape (n, levels): the median at 0.5, an interval of 90 % between 0.05 and 0.95.

    Exact but for the grid, the steps of n and the rounding of ages: to about 0.5 % of itself. 0
    where no purchase has at least that probability. Raises UsageError for a level outside
    (0, 0.9999] and a horizon without end.
    """
    _check(levels, horizon)
    alive, none = law.alive(known), law.silent(known, horizon)
    scale = posterior(fit, spend)[1]
    found = np.zeros((len(known), len(levels)))
    if horizon == 0:
        return found
    pairs = np.column_stack((known.frequency, spend.count))
    kinds = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    for mine in alike(kinds.astype(np.float64)):
        x, count = pairs[mine[0]]
        shape = fit.values[1] + fit.values[0] * float(count)
        # Of those alive the distribution differs by age alone.
        steps = np.round(np.log(law.alpha + known.age[mine]) / SNAP)
        ages, place = np.unique(steps, return_inverse=True)
        logs, table = _table(law, fit.values[0], shape, float(x), np.exp(ages * SNAP), horizon)
        for column, level in enumerate(levels):
            some = none[mine] < level
            rest = 1 - (1 - level) / alive[mine][some]
            at = np.exp(_invert(logs, table, place.reshape(-1)[some], rest))
            found[mine[some], column] = at * scale[mine[some]]
    return found


def _check(levels: Sequence[float], horizon: float) -> None:
    if not 0 <= horizon < math.inf:
        raise UsageError(f"buying: quantiles over a horizon of {horizon}; give 0 or more, an end")
    for level in levels:
        if not 0 < level <= MOST_LEVEL:
            raise UsageError(
                f"buying: quantile level {level}; give one above 0 and up to {MOST_LEVEL}"
            )


def _table(
    law: Law, p: float, shape: float, x: float, ages: Floats, horizon: float
) -> tuple[Floats, Floats]:
    """log(v / gamma'), shape (GRID,), and P(value below v | alive), shape (ages, GRID).

    ages   alpha + T
    """
    steps = _steps(law, x, horizon)
    more = law.more_if_alive(np.array(x), ages[:, None] - law.alpha, horizon, steps)
    having = np.diff(1 - more, axis=1)
    having[:, -1] += more[:, -1]
    n = (steps[1:] + steps[:-1] + 1) / 2  # a step of several n is taken at its middle
    low, high = betaincinv(p, shape, LOWEST), betaincinv(p * n[-1], shape, HIGHEST)
    first, last = (
        float(np.log(max(w, 1e-300)) - np.log1p(-min(w, 1 - 1e-16))) for w in (low, high)
    )
    logs = np.linspace(first, last, GRID)
    below = betainc(p * n[:, None], shape, 1 / (1 + np.exp(-logs)))
    return logs, np.asarray(1 - more[:, :1] + having @ below)


def _steps(law: Law, x: float, horizon: float) -> Floats:
    """0, 1, 2, … then growing steps, as far as the youngest there could be may come, so that
    nobody's figure depends on who else is asked about; shape (steps,)."""
    steps = list(map(float, range(SINGLE + 1)))
    one, youngest = np.array(x), np.array(0.0)
    while float(law.more_if_alive(one, youngest, horizon, np.array(steps[-1]))) > TAIL:
        steps.append(max(steps[-1] + 1, float(np.floor(steps[-1] * GROWTH))))
    return np.array(steps)


def _invert(logs: Floats, table: Floats, row: Ints, level: Floats) -> Floats:
    """Where the row of `table` (rising) of each comes to its level, between the grid's points."""
    low, high = np.zeros_like(row), np.full_like(row, table.shape[1] - 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        short = table[row, middle] < level
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    left, right = table[row, low], table[row, high]
    share = np.clip((level - left) / np.maximum(right - left, 1e-300), 0.0, 1.0)
    return np.asarray(logs[low] + share * (logs[high] - logs[low]))
