"""What a customer will do, given (x, t_x, T) and the parameters of BG/NBD or MBG/NBD.

Given the history the customer is alive with P(alive), and then lambda ~ Gamma(r + x, alpha + T)
and p ~ Beta(a, b + k), independent of each other. All that follows is a mean over these two:
over lambda in closed form, over p in closed form or by `buying_quadrature`. Times are in the
histories' unit; results have shape (n,), in the order of the histories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from runtime.errors import UsageError
from training.buying_data import Histories
from training.buying_quadrature import beta_nodes
from training.metrics import Floats

CELLS = 1 << 21  # customers times nodes that are worked on at once

Places = npt.NDArray[np.int64]
Integrand = Callable[[Floats, Floats, Floats], Floats]

Kind = Literal["bg/nbd", "mbg/nbd"]
EXTRA: dict[Kind, int] = {"bg/nbd": 0, "mbg/nbd": 1}
NAMES = ("r", "alpha", "a", "b")  # of the parameters


@dataclass(frozen=True)
class Law:
    """Parameters, and k - x: 0 for BG/NBD, 1 for MBG/NBD."""

    r: float
    alpha: float
    a: float
    b: float
    extra: int

    def alive(self, known: Histories) -> Floats:
        """P(not left by T), in [0, 1]. 1 / (1 + e^z) of `buying_likelihood`; Fader, Hardie & Lee
        2008, "Computing P(alive) using the BG/NBD model"."""
        x, age = known.frequency, known.age
        k = x + self.extra
        ratio = np.log1p((age - known.recency) / (self.alpha + known.recency))
        at_risk = k > 0
        odds = np.log(self.a / (self.b + np.where(at_risk, k, 1) - 1)) + (self.r + x) * ratio
        return np.where(at_risk, np.exp(-np.logaddexp(0.0, odds)), 1.0)

    def silent(self, known: Histories, horizon: float, gap: float = 0.0) -> Floats:
        """P(no purchase in (T + gap, T + gap + horizon]): churn in a log of purchases.

        Who has left buys no more; who has not leaves only with a purchase, so the next one comes
        at rate lambda whatever p is. Without a gap:

            1 - P(alive) (1 - E e^(-lambda h)) = 1 - P(alive) (1 - (A / (A + h))^(r + x))

        with A = alpha + T: Fader, Hardie & Lee 2005 give P(X(t) = 0) of a new customer in the same
        way. With a gap g one must also still be alive after it, of which the chance is
        e^(-lambda p g), because purchases that end it come at rate lambda p:

            1 - P(alive) E e^(-lambda p g) (1 - e^(-lambda h))

        where the mean over lambda of e^(-lambda s) is (A / (A + s))^(r + x).
        """
        return 1 - self.back(known, 0.0, horizon, gap)

    def back(self, known: Histories, start: float, end: float, gap: float = 0.0) -> Floats:
        """P(the first purchase after T + gap lies in (T + gap + start, T + gap + end]).

        As in `silent`, with e^(-lambda s) - e^(-lambda e) in place of 1 - e^(-lambda h): no
        difference of two figures near 1, so it is exact where it is next to nothing.
        """
        _check(start, gap)
        _check(end - start, gap)
        if gap == 0:
            return self.alive(known) * _first(
                known.frequency + self.r, known.age + self.alpha, start, end
            )

        def still(p: Floats, bought: Floats, age: Floats) -> Floats:
            return _first(bought, age, gap * p + start, gap * p + end)

        return self.alive(known) * self._mean(known, still, gap + min(end, 1e300))

    def newcomer_back(self, after: Floats, window: float) -> Floats:
        """P(a newcomer buys again in (after, after + window]), for each of `after`, shape (n,)."""
        steep = 1 + (1 + self.r) * (float(after.max()) + window) / self.alpha
        p, weight = beta_nodes(self.a, self.b + self.extra, 1 / steep)
        until = after[:, None] * p
        still = _first(np.asarray(self.r), np.asarray(self.alpha), until, until + window)
        none = np.zeros(1)
        return np.asarray(self.alive(Histories(none, none, none)) * (still * weight).sum(1))

    def purchases(self, known: Histories, horizon: float, gap: float = 0.0) -> Floats:
        """Expected purchases in (T + gap, T + gap + horizon]; `horizon` may be infinite.

        While alive the next purchase that counts comes at rate lambda and ends it with
        probability p: the mean of (1 - e^(-lambda p h)) / p. The mean over p is the expression
        with 2F1 of Fader, Hardie & Lee 2005, eq. 10 (and of MBG/NBD with b + 1 for b). It tends to
        P(alive) (a + b + k - 1) / (a - 1), or to infinity where a is 1 or less.
        """
        _check(horizon, gap)
        far = self._alive_purchases(known, gap + horizon)
        if gap:
            with np.errstate(invalid="ignore"):
                far = np.where(np.isinf(far), far, far - self._alive_purchases(known, gap))
        return np.asarray(self.alive(known) * far)

    def _alive_purchases(self, known: Histories, horizon: float) -> Floats:
        if math.isinf(horizon):
            k = known.frequency + self.extra
            limit = (self.a + self.b + k - 1) / (self.a - 1) if self.a > 1 else k + np.inf
            return np.asarray(limit)

        def count(p: Floats, bought: Floats, age: Floats) -> Floats:
            return np.asarray(-np.expm1(-bought * np.log1p(horizon * p / age)) / p)

        return self._mean(known, count, horizon)

    def _mean(self, known: Histories, of: Integrand, horizon: float) -> Floats:
        """The mean over p of `of(p, r + x, alpha + T)`, those with equal x at a time."""
        found = np.empty(len(known))
        for mine in alike(known.frequency):
            x = float(known.frequency[mine[0]])
            bought, age = np.asarray(self.r + x), known.age[mine] + self.alpha
            # For the youngest there could be: nobody's figure depends on who else is asked about.
            steep = 1 + (1 + float(bought)) * horizon / self.alpha
            p, weight = beta_nodes(self.a, self.b + x + self.extra, 1 / steep)
            rows = max(1, CELLS // len(p))
            for i in range(0, len(mine), rows):
                part = slice(i, i + rows)
                found[mine[part]] = (of(p, bought, age[part, None]) * weight).sum(1)
        return found

    def more_than(self, known: Histories, horizon: float, n: Floats) -> Floats:
        """P(more than n purchases in (T, T + horizon]); n whole, -1 or more, shape (n,)."""
        _check(horizon, 0.0)
        some = self.more_if_alive(known.frequency, known.age, horizon, np.maximum(n, 0.0))
        return np.where(n < 0, 1.0, self.alive(known) * some)

    def more_if_alive(self, x: Floats, age: Floats, horizon: float, n: Floats) -> Floats:
        """The same of one who has not left by T; the arrays' shapes are broadcast.

        More than n are made if more than n would come, a negative binomial number, and none of
        the first n ended it: I_z(n + 1, r + x) B(a, b + k + n) / B(a, b + k), z = h / (alpha + T +
        h). The two are independent; summed over n = 0, 1, … they are the mean.
        """
        from scipy.special import betainc, betaln

        at = self.b + x + self.extra
        would = betainc(n + 1, self.r + x, horizon / (horizon + self.alpha + age))
        return np.asarray(would * np.exp(betaln(self.a, at + n) - betaln(self.a, at)))


def _first(bought: Floats, age: Floats, start: Floats | float, end: Floats | float) -> Floats:
    """The mean over lambda of e^(-lambda start) - e^(-lambda end)."""
    waits = np.exp(-bought * np.log1p(start / age))
    return np.asarray(waits * -np.expm1(-bought * np.log1p((end - start) / (age + start))))


def alike(values: Floats) -> Iterator[Places]:
    """The places of equal values, a different value at a time."""
    order = np.argsort(values, kind="stable")
    _, starts = np.unique(values[order], return_index=True)
    yield from (part for part in np.split(order, starts[1:]) if len(part))


def _check(horizon: float, gap: float) -> None:
    if not (horizon >= 0 and 0 <= gap < math.inf):
        raise UsageError(
            f"buying: horizon {horizon} with gap {gap}; give 0 or more, and a gap that ends"
        )
