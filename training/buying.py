"""Probability models of buying: who is still a customer, how often they will buy, what they will
spend; fitted on the purchases before a cutoff alone, with no label at all.

BG/NBD or MBG/NBD says when customers buy and leave, Gamma-Gamma what they spend; the two are
independent in these models. Made for logs in which nobody says goodbye. A user without a
purchase is no customer yet: `purchases_plan` leaves them out, and nothing is said about them.

    plan = purchases_plan(events, cutoff, zone="Europe/Berlin")
    people = collect(plan, device)
    model = fit_buying([people])
    churn = model.silent(people, horizon_days=39 * 7)
    value = model.expected_value(people, horizon_days=39 * 7)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from runtime.errors import ModelError, SchemaError, UsageError
from training.buying_bgnbd import fit_likelier
from training.buying_data import UNIT_DAYS, Groups, Tally, Unit, histories
from training.buying_fit import Fit
from training.buying_gamma_gamma import as_histories, fit_spend
from training.buying_intervals import silent_interval
from training.buying_predict import EXTRA, Kind, Law
from training.buying_spend import Spend, finite_spend, mean_spend
from training.buying_value import purchase_quantiles, value_quantiles
from training.metrics import Floats

SpendOf = Literal["all", "repeats"]
MEANS: dict[str, str] = {"all": "mean", "repeats": "repeat_mean"}


@dataclass(frozen=True)
class Buying:
    """A fitted model. `spend` is None where amounts were not to be modelled.

    spend_of   whether amounts are those of all purchases, or of the repeats alone as published;
               with "all" each customer has one, and the first purchase tells what one spends
    amount     the mean of a purchase, said of customers whose expected one is infinite

    `people` below is a frame as `purchases_plan` makes it, in the model's unit; results have shape
    (n,), in its order. Horizons begin at the cutoff of `people`, or `gap_days` after it.
    """

    kind: Kind
    unit: Unit
    purchases: Fit
    spend: Fit | None
    spend_of: SpendOf
    amount: float = 0.0

    @property
    def law(self) -> Law:
        r, alpha, a, b = self.purchases.values
        return Law(r, alpha, a, b, EXTRA[self.kind])

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, what the data could not tell."""
        amounts = self.spend.notes if self.spend else ()
        return (
            *(f"purchases: {note}" for note in self.purchases.notes),
            *(f"amounts: {note}" for note in amounts),
        )

    def alive(self, people: pl.DataFrame) -> Floats:
        """P(has not left by the cutoff)."""
        return self.law.alive(histories(people))

    def silent(self, people: pl.DataFrame, horizon_days: float, gap_days: float = 0) -> Floats:
        """P(no purchase within the horizon): churn in a log of purchases."""
        return self.law.silent(histories(people), *self._in_units(horizon_days, gap_days))

    def silent_interval(
        self,
        people: pl.DataFrame,
        horizon_days: float,
        gap_days: float = 0,
        level: float = 0.9,
    ) -> Floats:
        """Within what `silent` lies with probability `level`, shape (n, 2): what the parameters'
        intervals leave open, given that the model is right."""
        horizon, gap = self._in_units(horizon_days, gap_days)
        known = histories(people)
        return silent_interval(self.law, self.purchases, known, horizon, gap, level)

    def expected_purchases(
        self, people: pl.DataFrame, horizon_days: float, gap_days: float = 0
    ) -> Floats:
        """Mean number of purchases (days with one) within the horizon, which may be infinite."""
        return self.law.purchases(histories(people), *self._in_units(horizon_days, gap_days))

    def expected_value(
        self, people: pl.DataFrame, horizon_days: float, gap_days: float = 0
    ) -> Floats:
        """Mean spend within the horizon, in the currency: expected purchases times the expected
        amount of one (Fader, Hardie & Lee 2005, "RFM and CLV"). Raises ModelError without spend."""
        counts = self.expected_purchases(people, horizon_days, gap_days)
        return counts * finite_spend(self._spend(), self._known(people), self.amount)

    def value_quantiles(
        self, people: pl.DataFrame, horizon_days: float, levels: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> Floats:
        """Spend within the horizon that is not passed with each probability, shape (n, levels)."""
        horizon, _ = self._in_units(horizon_days, 0)
        known, spend = histories(people), self._known(people)
        return value_quantiles(self.law, self._spend(), known, spend, horizon, levels)

    def purchase_quantiles(
        self, people: pl.DataFrame, horizon_days: float, levels: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> Floats:
        """The same of the number of purchases, shape (n, levels)."""
        horizon, _ = self._in_units(horizon_days, 0)
        return purchase_quantiles(self.law, histories(people), horizon, levels)

    def _in_units(self, horizon_days: float, gap_days: float) -> tuple[float, float]:
        length = UNIT_DAYS[self.unit]
        return horizon_days / length, gap_days / length

    def _spend(self) -> Fit:
        if self.spend is None:
            raise ModelError("buying: fitted without amounts; fit it with spend_of='all'")
        return self.spend

    def _known(self, people: pl.DataFrame) -> Spend:
        return known_spend(people, self.spend_of)


def fit_buying(
    people: Iterable[pl.DataFrame],
    *,
    kind: Kind | None = "bg/nbd",
    unit: Unit = "day",
    spend_of: SpendOf | None = "all",
    device: str = "cpu",
) -> Buying:
    """Fits on frames as `purchases_plan` makes them, of all customers or a bucket at a time.

    kind       None: the one of the greater likelihood
    spend_of   None: amounts are not modelled
    device     PyTorch's name of one

    The same whatever the order of customers and their division into frames. Raises UsageError for
    an unknown kind or no customer, SchemaError for rows that cannot be, ModelError where the data
    cannot tell the parameters.
    """
    if kind not in (None, *EXTRA) or unit not in UNIT_DAYS:
        known = ", ".join(f"'{name}'" for name in (*EXTRA, *UNIT_DAYS))
        raise UsageError(f"buying: kind '{kind}', unit '{unit}'; known are {known}")
    times, amounts = Tally(), Tally()
    for frame in people:
        times.add(histories(frame))
        if spend_of is not None:
            amounts.add(as_histories(known_spend(frame, spend_of)))
    kind, purchases = fit_likelier(times.groups(), kind, device)
    if spend_of is None:
        return Buying(kind, unit, purchases, None, "all")
    spend, amount = _spend_of(amounts.groups(), purchases.customers, device)
    return Buying(kind, unit, purchases, spend, spend_of, amount)


def _spend_of(known: Groups, customers: int, device: str) -> tuple[Fit, float]:
    """Gamma-Gamma, with a note of whose expected amount is infinite, and the mean amount."""
    fit = fit_spend(known, device)
    purchases = known.frequency * known.weight
    amount = float((purchases * known.recency).sum() / purchases.sum())
    everyone = Spend(np.append(known.frequency, 0.0), np.append(known.recency, 0.0))
    weight = np.append(known.weight, customers - known.customers)
    if not (endless := weight[np.isinf(mean_spend(fit, everyone))].sum()):
        return fit, amount
    note = (
        f"the expected amount of {endless:,.0f} of {customers:,} customers is infinite (p n + q is "
        f"1 or less for n known amounts): they are given the mean amount, {amount:,.2f}"
    )
    return replace(fit, notes=(*fit.notes, note)), amount


def known_spend(people: pl.DataFrame, spend_of: SpendOf) -> Spend:
    """The amounts that are known of each customer. Raises UsageError, SchemaError."""
    if spend_of not in MEANS:
        raise UsageError(f"buying: spend_of '{spend_of}'; choose one of {', '.join(MEANS)}")
    column = MEANS[spend_of]
    if column not in people.columns:
        found = ", ".join(map(repr, people.columns))
        raise SchemaError(f"buying: no column '{column}'; found {found}; make it by purchases_plan")
    count = people["frequency"].cast(pl.Float64).to_numpy() + (spend_of == "all")
    mean = people[column].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return Spend(count, mean)
