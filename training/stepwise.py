"""Rows for a horizon that is learned step by step: a row a user, cutoff and step that is known.

Churn is a discrete-time hazard (Singer & Willett 1993): each row asks whether the wait of one
who is still waiting ends in this step - by the first activity where churn is silence, by the
churn itself elsewhere. Value is what each step brings. So cutoffs too recent for a label of the
whole horizon teach their first steps, and the steps together give the horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from features.steps import churn_by, known_from, steps_of, value_by
from runtime.errors import LabelError
from runtime.settings import Settings
from training.metrics import Floats
from training.rows import Matrix, Rows, days_of, matrix
from training.split import user_fold, user_share

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

STEP = "step"  # the column beside the features: which step it is, from 0
MOST_ROWS = 3_000_000  # beyond, users are left out by hash


@dataclass(frozen=True)
class Step:
    """`days`: where it ends, after the gap; `churn`, `value`: the columns of its labels, which are
    known so long after a cutoff."""

    days: int
    churn: str
    value: str
    known_after: timedelta


def steps_in(settings: Settings) -> tuple[Step, ...]:
    """The steps of the horizon; none where it is learned as one."""
    days = steps_of(settings)
    if len(days) == 1:
        return ()
    early = [Step(d, churn_by(d), value_by(d), known_from(settings, d)) for d in days[:-1]]
    return (*early, Step(days[-1], "churn", "value", known_from(settings, days[-1])))


@dataclass(frozen=True)
class Stacked:
    """`hazard.churn`: 1 where the wait ends in the row's step; `value.value`: what the step
    brings, None on a log without amounts. The last column of both matrices is STEP."""

    hazard: Rows
    value: Rows | None


def stacked(
    frame: pl.DataFrame,
    features: tuple[str, ...],
    steps: Sequence[Step],
    ended_label: int,
    until: datetime | None,
    role: str,
    seed: int,
) -> Stacked:
    """Of the frame's rows every step whose label is known before `until` (None: at all).

    `ended_label`: the churn label of one whose wait has ended. Raises LabelError where no row
    has a step that is known.
    """
    frame = _fewer(frame, len(steps), seed)
    waiting, spent = np.ones(len(frame), np.bool_), np.zeros(len(frame))
    waits, brings = _Gathered(), _Gathered()
    for step in steps:
        known = _known(frame, step, until)
        ended = (frame[step.churn] == ended_label).fill_null(value=False).to_numpy()
        total = frame[step.value].cast(pl.Float64).fill_null(0.0).to_numpy()
        waits.add(known & waiting, ended.astype(np.float64))
        brings.add(known, total - spent)
        waiting, spent = waiting & ~ended, total
    if not len(waits):
        raise LabelError(
            f"no labelled user to {role} on (found {len(frame)} rows); train as of later, "
            "ingest more users, widen [eligible] or shorten churn.horizon_days"
        )
    paid = frame[steps[0].value].null_count() < len(frame)
    hazard = _rows(frame, features, waits, seed)
    value = _rows(frame, features, brings, seed) if paid else None
    return Stacked(
        replace(hazard, churn=waits.joined()),
        replace(value, value=brings.joined()) if value else None,
    )


class _Gathered:
    """Step by step the places of rows in a frame, and a number for each."""

    def __init__(self) -> None:
        self.places: list[Ints] = []
        self.numbers: list[Floats] = []

    def add(self, of: Flags, numbers: Floats) -> None:
        self.places.append(np.flatnonzero(of).astype(np.int64))
        self.numbers.append(numbers[of])

    def joined(self) -> Floats:
        return np.concatenate(self.numbers)

    def __len__(self) -> int:
        return sum(map(len, self.places))


def _rows(frame: pl.DataFrame, features: tuple[str, ...], of: _Gathered, seed: int) -> Rows:
    """Features and step of the gathered rows, without labels; all count as of the newest cutoff,
    since their steps lie in the same weeks."""
    places = np.concatenate(of.places)
    step = np.repeat(np.arange(len(of.places), dtype=np.float32), list(map(len, of.places)))
    chosen = frame[places]
    return Rows(
        features=(*features, STEP),
        x=np.column_stack([matrix(chosen, features), step]),
        churn=np.zeros(len(places)),
        value=None,
        fold=chosen.select(user_fold(seed)).to_series().to_numpy(),
        users=chosen["user_id"].to_numpy().astype(np.str_),
        day=np.full(len(places), days_of(frame["cutoff"]).max()),
    )


def _known(frame: pl.DataFrame, step: Step, until: datetime | None) -> Flags:
    known = frame[step.churn].is_not_null()
    if until is not None:
        known &= frame["cutoff"] <= until - step.known_after
    return known.to_numpy()


def _fewer(frame: pl.DataFrame, steps: int, seed: int) -> pl.DataFrame:
    """The frame, or of a large one the rows of so many users that MOST_ROWS hold all steps."""
    share = MOST_ROWS / max(len(frame) * steps, 1)
    return frame if share >= 1 else frame.filter(user_share(seed, "stepwise") < share)


def longest_known(
    frame: pl.DataFrame, steps: Sequence[Step], until: datetime | None
) -> tuple[pl.DataFrame, Step]:
    """The rows that know the longest step that any row knows, with `churn` and `value` of it, and
    that step; no row where none knows any."""
    for step in reversed(steps):
        known = frame.filter(pl.Series(_known(frame, step, until)))
        if len(known):
            return known.with_columns(churn=step.churn, value=step.value), step
    return frame.clear(), steps[0]


def at_step(x: Matrix, step: int) -> Matrix:
    """Rows of features with STEP beside them."""
    return np.column_stack([x, np.full(len(x), step, np.float32)])
