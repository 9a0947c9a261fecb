"""What models of buying have learned, said: each law's parameters, how sure, how likely.

A law with four numbers is read by those who know it; what it says of users is in the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.blend import Blend
from training.buying_fit import Fit
from training.buying_silence import Silence
from training.buying_spending import Spending
from training.model import Model

LEVEL = 0.95  # as of the metrics
UNITS = {"alpha": "days", "gamma": "money"}
ACTIVITY, PURCHASES, AMOUNTS = "activity", "purchases", "amounts"


@dataclass(frozen=True)
class Told:
    """A parameter, the log-likelihood or the number of users of a law of activity, of purchases or
    of amounts. `low`, `high`: where it lies with LEVEL, from the Hessian; None where the data do
    not tell it, or where it is no parameter."""

    of: str
    law: str
    parameter: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """As a metric of a tracked run."""
        return f"law_{self.of}_{self.parameter}".replace("-", "_")


def laws_of(model: Model) -> tuple[Told, ...]:
    """Of the models of buying in it, alone or among others; none where there are none."""
    return tuple(row for of, law, fit in _fits(model) for row in told_of(of, law, fit))


def law_notes(model: Model) -> tuple[str, ...]:
    """What the data cannot tell of them."""
    return tuple(f"{law} of {of}: {note}" for of, law, fit in _fits(model) for note in fit.notes)


def metrics_of(laws: Sequence[Told]) -> dict[str, float]:
    """By name, with `_low` and `_high`, for the tracked run."""
    each = ((f"{law.name}{end}", at) for law in laws for end, at in _ends(law))
    return {name: at for name, at in each if at is not None}


def facts_of(laws: Sequence[Told]) -> dict[str, str]:
    """A line for each law, for the page of the run."""
    found: dict[str, list[str]] = {}
    for one in laws:
        found.setdefault(f"{one.law} of {one.of}", []).append(_in_words(one))
    return {law: "; ".join(said) for law, said in found.items()}


def rows_of(laws: Sequence[Told]) -> tuple[dict[str, Any], ...]:
    return tuple(asdict(one) for one in laws)


def _fits(model: Model) -> Iterator[tuple[str, str, Fit]]:
    """The law of purchases is left out where it is that of activity."""
    silences = [one for one in _parts(model.churn) if isinstance(one, Silence)]
    for silence in silences:
        yield ACTIVITY, silence.kind.upper(), silence.fit
    for spending in _parts(model.value):
        if isinstance(spending, Spending):
            if spending.fit not in [silence.fit for silence in silences]:
                yield PURCHASES, spending.kind.upper(), spending.fit
            if spending.spend:
                yield AMOUNTS, "Gamma-Gamma", spending.spend


def _parts(estimator: Any) -> tuple[Any, ...]:
    return estimator.parts if isinstance(estimator, Blend) else (estimator,)


def told_of(of: str, law: str, fit: Fit) -> Iterator[Told]:
    between = fit.interval(LEVEL)
    for name, value in zip(fit.names, fit.values, strict=True):
        low, high = between[name] or (None, None)
        yield Told(of, law, name, value, low, high, UNITS.get(name, ""))
    yield Told(of, law, "log-likelihood", fit.log_likelihood)
    yield Told(of, law, "users", float(fit.customers))


def _ends(law: Told) -> tuple[tuple[str, float | None], ...]:
    return ("", law.value), ("_low", law.low), ("_high", law.high)


def _in_words(one: Told) -> str:
    unit = f" {one.unit}" if one.unit else ""
    between = "" if one.low is None else f" ({one.low:.4g} to {one.high:.4g})"
    value = f"{one.value:,.0f}" if one.parameter == "users" else f"{one.value:.6g}"
    return f"{one.parameter} {value}{between}{unit}"
