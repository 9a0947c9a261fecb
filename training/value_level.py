"""The level of value: what to multiply expected value by for its sum to be right now.

The level at a cutoff is log(sum of value / sum of expected value) under one frozen model; it is
carried to the present by the same candidates and the same rule as that of churn. The median is
left alone: it minimises absolute error, and no sum is asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.churn_level import Span
from training.level import CANDIDATES, Known, Level
from training.level_choice import Chosen, Trial, choose, move, try_all
from training.metrics import Floats


@dataclass(frozen=True)
class Sums:
    """Of one cutoff: what was spent, what the model expected, over `rows` users; `error`: the
    standard error of log(spent / expected)."""

    spent: float
    expected: float
    rows: int
    error: float

    @property
    def level(self) -> float:
        return float(np.log(self.spent / self.expected))


@dataclass(frozen=True)
class ValuePast:
    """`value`: None where not matured; `early`: by horizon in days, spending within it."""

    day: float
    value: Sums | None
    early: Mapping[int, Sums] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueReport:
    """`factor`: to multiply expected value, scaled at the newest matured cutoff, by."""

    factor: float
    chosen: Chosen
    rows: tuple[dict[str, Any], ...]


def sums(value: Floats, expected: Floats) -> Sums | None:
    """Of rows of shape (n,), one for a user; NaN in `value`: not known. None where the known rows
    spent nothing, or are expected to. Error by the delta method of a ratio (Cochran 1977, 6.3)."""
    there = np.isfinite(value)
    value, expected = value[there], expected[there]
    spent, hoped = float(value.sum()), float(expected.sum())
    if spent <= 0 or hoped <= 0:
        return None
    off = value - spent / hoped * expected
    return Sums(spent, hoped, len(value), float(np.sqrt(np.sum(off**2)) / spent))


def value_level(past: Sequence[ValuePast], now_day: float, span: Span) -> ValueReport:
    """How far the level has moved since the newest matured cutoff. Only what was known at the
    cutoff that is looked at is used, as in `training.churn_level`."""
    past = sorted(past, key=lambda one: one.day)
    now = _known(past, now_day, span)
    if now is None:
        return ValueReport(1.0, Chosen("none", 0.0, {}, {}, None, 0.0), ())
    matured = [one for one in past if one.day + span.embargo_days <= now_day]
    trials = [found for one in matured if (found := _trial(past, one, span)) is not None]
    proposals = try_all(now)
    chosen = choose([trial for trial, _ in trials], proposals, span.embargo_days)
    rows = [row for trial, at in trials for row in _rows(trial, at, chosen)]
    return ValueReport(float(np.exp(chosen.shift(proposals))), chosen, tuple(rows))


def _known(past: Sequence[ValuePast], day: float, span: Span) -> Known | None:
    full = [
        Level(one.day, one.value.level, one.value.error)
        for one in past
        if one.value is not None and one.day + span.embargo_days <= day
    ]
    if not full:
        return None
    early = {}
    for days in sorted({days for one in past for days in one.early}):
        some = [one for one in past if days in one.early and one.day + span.gap_days + days <= day]
        if len(some) > 1:
            early[days] = tuple(
                Level(one.day, one.early[days].level, one.early[days].error) for one in some
            )
    return Known(day, span.embargo_days, tuple(full), early)


def _trial(past: Sequence[ValuePast], one: ValuePast, span: Span) -> tuple[Trial, Sums] | None:
    before = _known([other for other in past if other.day < one.day], one.day, span)
    if one.value is None or before is None:
        return None
    needed = one.value.level - before.full[-1].level
    return Trial(one.day, needed, one.value.error, try_all(before)), one.value


def _rows(trial: Trial, at: Sums, chosen: Chosen) -> list[dict[str, Any]]:
    """The bias of the sum at one past cutoff under every candidate at its weight."""
    rows = []
    for name in CANDIDATES:
        proposal = trial.proposals.get(name)
        if proposal is None:
            continue
        weight = chosen.weights.get(name, 0.0)
        rows.append(
            {
                "day": trial.day,
                "candidate": name,
                "chosen": name == chosen.name,
                "rows": at.rows,
                "mean": at.spent / at.rows,
                "proposed": proposal.shift,
                "weight": weight,
                "needed": trial.needed,
                "bias": float(np.expm1(move(proposal, weight) - trial.needed)),
            }
        )
    return rows
