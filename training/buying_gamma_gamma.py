"""Gamma-Gamma (Fader & Hardie 2013, "The Gamma-Gamma model of monetary value"): what one spends.

The amounts of a customer's purchases are Gamma(p, nu) with nu ~ Gamma(q, gamma) over customers,
independent of how often they buy. A customer with n purchases of mean amount m has, with s = p n,
the likelihood (eq. 1a there)

    L = Gamma(s + q) / (Gamma(s) Gamma(q))  gamma^q m^(s - 1) n^s / (gamma + n m)^(s + q)

and afterwards nu ~ Gamma(q + p n, gamma + n m). Without purchases, n = 0, it is everyone's law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from runtime.errors import ModelError, SchemaError
from training.buying_blocks import Columns, columns, sum_blocks
from training.buying_data import Groups, Histories
from training.buying_fit import Derivatives, Fit, Optimum, covariance, maximise, notes
from training.buying_spend import NAMES, Spend
from training.metrics import Floats

PAIRS = ((1, 2),)  # a law of nu
STARTS = ((2.0, 3.0, 1.0), (6.0, 4.0, 0.5), (1.0, 1.5, 1.0))
SAMPLE = 20_000
LEAST_CUSTOMERS = 3  # of different mean spend: as many as there are parameters


def fit_spend(groups: Groups, device: str = "cpu") -> Fit:
    """Parameters (p, q, gamma) by maximum likelihood of those with a known amount; gamma in the
    currency. With the repeat purchases alone, as published, or with all.

    `groups`: of `as_histories`. Raises ModelError where amounts do not vary enough between
    customers or within them to tell the parameters.
    """
    if len(np.unique(groups.recency)) < LEAST_CUSTOMERS:
        raise ModelError(
            f"gamma-gamma: {groups.customers:,} customers with {len(np.unique(groups.recency))} "
            "different mean amounts; it takes customers who spend differently, give more of them"
        )
    if not (groups.frequency > 1).any():
        raise ModelError(
            f"gamma-gamma: each of {groups.customers:,} customers has one known amount, so what "
            "varies within a customer cannot be told from what varies between them; take all "
            "purchases of each, or a longer log"
        )
    # The geometric mean: one mistyped amount would move the arithmetic one away from all others.
    logs = float((groups.weight * np.log(groups.recency)).sum())
    unit = float(np.exp(logs / groups.customers))
    scaled = Groups(groups.frequency, groups.recency / unit, groups.age, groups.weight)
    optimum = _search(scaled, device)
    values = np.exp(optimum.at) * (1, 1, unit)
    told = notes(NAMES, optimum, PAIRS)
    if values[1] <= 1:
        told += (
            "q is 1 or less: the mean spend of all customers is infinite, and sums of expected "
            "value are not to be relied on",
        )
    return Fit(
        NAMES,
        tuple(values.tolist()),
        covariance(optimum, PAIRS),
        optimum.value - groups.customers * float(np.log(unit)),
        groups.customers,
        optimum.steps,
        told,
    )


def as_histories(chunk: Spend) -> Histories:
    """Those with an amount, to be counted: the mean takes the place of a time.

    Raises SchemaError.
    """
    some = chunk.count > 0
    count, mean = chunk.count[some], chunk.mean[some]
    fine = np.isfinite(mean) & (mean > 0) & (count == np.floor(count))
    if not fine.all():
        k = int(np.argmin(fine))
        raise SchemaError(
            f"gamma-gamma: a customer with {count[k]} purchases of mean amount {mean[k]}; "
            "amounts are above 0: leave refunds and free orders out"
        )
    return Histories(count, mean, np.zeros(len(mean)))


def _search(groups: Groups, device: str) -> Optimum:
    step = max(1, len(groups.weight) // SAMPLE)
    sample = Amounts.of(groups.every(step), device)
    ends = [maximise(sample.objective, np.log(start).tolist()) for start in STARTS]
    best = max(ends, key=lambda end: end.value)
    if step == 1:
        return best
    return maximise(Amounts.of(groups, device).objective, best.at.tolist())


@dataclass(frozen=True)
class Amounts:
    """Float64 on one device.

    rows     n, n m and weight of each group, each of shape (g,)
    counts   different n and how many customers have each, each of shape (u,)
    log_mean, count_log_total   the sums of log m and n log(n m), which no parameter enters
    """

    rows: Columns
    counts: Columns
    log_mean: float
    count_log_total: float

    @staticmethod
    def of(groups: Groups, device: str) -> Amounts:
        counts, place = np.unique(groups.frequency, return_inverse=True)
        having = np.bincount(place, weights=groups.weight).astype(np.float64)
        count, weight = groups.frequency, groups.weight
        total = count * groups.recency
        return Amounts(
            columns(device, count, total, weight),
            columns(device, counts, having),
            float((weight * np.log(groups.recency)).sum()),
            float((weight * count * np.log(total)).sum()),
        )

    def objective(self, logarithms: Floats) -> Derivatives:
        """The likelihood and its derivatives in the logarithms of (p, q, gamma)."""
        values = np.exp(logarithms)
        p, q, gamma = values.tolist()
        value, gradient, hessian = self._by_count(p, q)
        n = float(self.counts[1].sum())
        found = sum_blocks(lambda part: _by_amount(part, p, q, gamma), self.rows, 7)
        value += found[0] + p * self.count_log_total - self.log_mean + n * q * float(np.log(gamma))
        gradient += (found[1] + self.count_log_total, found[2] + n * np.log(gamma), 0.0)
        gradient[2] = n * q / gamma + found[3]
        hessian[0, 2] = hessian[2, 0] = found[4]
        hessian[1, 2] = hessian[2, 1] = n / gamma + found[5]
        hessian[2, 2] = -n * q / gamma**2 + found[6]
        gradient = gradient * values
        return value, gradient, hessian * np.outer(values, values) + np.diag(gradient)

    def _by_count(self, p: float, q: float) -> Derivatives:
        """The gamma functions, once for each different number of purchases."""
        n, w = self.counts
        own, both = p * n, p * n + q
        one = torch.tensor(q, dtype=torch.float64, device=n.device)
        value = (w * (both.lgamma() - own.lgamma() - one.lgamma())).sum()
        first = both.digamma()
        second, seconds = torch.polygamma(1, both), torch.polygamma(1, own)
        by_p, by_q = (w * n * (first - own.digamma())).sum(), (w * (first - one.digamma())).sum()
        hessian = np.zeros((3, 3))
        hessian[0, 0] = float((w * n * n * (second - seconds)).sum())
        hessian[0, 1] = hessian[1, 0] = float((w * n * second).sum())
        hessian[1, 1] = float((w * (second - torch.polygamma(1, one))).sum())
        return float(value), np.array([float(by_p), float(by_q), 0.0]), hessian


def _by_amount(part: Columns, p: float, q: float, gamma: float) -> Tensor:
    """-(p n + q) log(gamma + n m) and its derivatives by p, q, gamma, p gamma, q gamma and gamma
    twice."""
    n, total, w = part
    inside = total + gamma
    inverse, log, both = w / inside, w * inside.log(), n * p + q
    return torch.stack(
        (
            -(both * log).sum(),
            -(n * log).sum(),
            -log.sum(),
            -(both * inverse).sum(),
            -(n * inverse).sum(),
            -inverse.sum(),
            (both * inverse / inside).sum(),
        )
    )
