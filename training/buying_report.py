"""Customers by the models of buying as plain values, for JSON and for tables; no user ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from runtime.clock import show
from training.buying_customers import Customers
from training.buying_fit import Fit
from training.buying_predict import NAMES
from training.laws import AMOUNTS, LEVEL, PURCHASES, told_of

MONTH_DAYS = 30


def report(found: Customers) -> dict[str, Any]:
    """Everything, as JSON holds it. `laws`: parameters with intervals of 95 %; `covariates`: by
    what factor; `groups`: with covariates, each combination of their values."""
    model = found.laws.model
    rows = found.rows.to_dicts()
    return {
        "as_of": show(found.as_of),
        "horizon_days": found.horizon_days,
        "model": model.kind,
        **{name: _total(rows, name) for name in rows[0] if name not in found.by},
        "laws": [asdict(one) for one in _laws(found)],
        "covariates": list(_covariates(found)),
        "groups": list(_groups(found, rows)) if found.by else [],
        "notes": list(found.notes),
        "out": found.out,
        "seconds": found.seconds,
    }


def _total(rows: list[dict[str, Any]], name: str) -> Any:
    known = [row[name] for row in rows if row[name] is not None]
    return sum(known) if known else None


def _laws(found: Customers) -> Iterator[Any]:
    model = found.laws.model
    yield from told_of(PURCHASES, model.kind.upper(), model.purchases)
    if model.spend is not None:
        yield from told_of(AMOUNTS, "Gamma-Gamma", model.spend)


def _covariates(found: Customers) -> Iterator[dict[str, Any]]:
    """Beside the value that is most frequent: how many times as often they buy while they are
    customers (`rate`), and the factors of a and b (`a` up or `b` down: they leave sooner)."""
    fit = found.laws.covariates
    if fit is None:
        return
    between = fit.interval(LEVEL)
    for name, value in list(zip(fit.names, fit.values, strict=True))[len(NAMES) :]:
        of, _, covariate = name.partition(":")
        ends = between[name] or (None, None)
        low, high = (None if end is None else float(np.exp(min(end, 700.0))) for end in ends)
        factor = float(np.exp(min(value, 700.0)))
        yield {"covariate": covariate, "of": of, "factor": factor, "low": low, "high": high}


def _groups(found: Customers, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Sums by customer, and what each group's law says of one who is a customer."""
    fits = _fits(found)
    for row, fit in zip(rows, fits, strict=True):
        r, alpha, a, b = fit.values
        customers = row["customers"]
        value = row["expected_value"]
        yield {
            **{name: row[name] for name in found.by},
            "customers": customers,
            "alive": row["alive"] / customers,
            "purchases_in_30_days_while_alive": MONTH_DAYS * r / alpha,
            "leave_at_a_purchase": a / (a + b),
            "expected_purchases": row["expected_purchases"] / customers,
            "expected_value": None if value is None else value / customers,
        }


def _fits(found: Customers) -> list[Fit]:
    """Of each of the rows."""
    assert found.laws.covariates is not None
    columns = found.laws.levels.columns(found.rows)
    each: dict[int, Fit] = {}
    for mine, fit in found.laws.covariates.fits(columns, columns):
        each |= dict.fromkeys(mine.tolist(), fit)
    return [each[k] for k in range(len(found.rows))]
