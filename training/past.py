"""Past cutoffs as models saw them that did not know their labels: what every judgement of level,
calibration and interval over time is made from.

The frame has a row for each cutoff and user: `cutoff`, `user_id`, the features, `churn` (null where
not matured), and where wanted `churn_7d`, ...: the outcome of the first 7 days (training.early). It
must hold cutoffs of which nothing has matured yet, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from features.time import Cutoff
from runtime.clock import EPOCH, MICROSECOND
from runtime.errors import LabelError
from training.binned import binned
from training.churn_level import Scored
from training.metrics import Floats
from training.rows import DAY_US
from training.split import user_share

LEAST_ROWS = 200
LEAST_OF_A_CLASS = 20
HELD_SHARE = 0.5
PARTS_OF_A_DAY = 2**37  # each shorter than a microsecond
EARLY = re.compile(r"churn_(\d+)d")


Predict = Callable[[pl.DataFrame], Floats]  # log-odds of churn of n rows, shape (n,)
FitFrame = Callable[[pl.DataFrame], Predict]


@dataclass(frozen=True)
class PastCutoff:
    """The rows of one cutoff and what the model of its origin says of them, in the same order."""

    cutoff: Cutoff
    rows: pl.DataFrame
    margin: Floats

    @property
    def day(self) -> float:
        return day_of(self.cutoff)


@dataclass(frozen=True)
class Series:
    """What one frozen model says of every cutoff whose features it had not seen.

    `fitted_on`: its cutoffs, oldest first. `by_users`: no matured cutoff lies an embargo after a
    fit, so the model is fitted on half the users at all matured cutoffs and scores the others.
    """

    fitted_on: tuple[Cutoff, ...]
    scored: tuple[PastCutoff, ...]
    by_users: bool


def day_of(cutoff: Cutoff) -> float:
    """Days since 1970, to parts that stay whole in a float until 2149: so days added to it come to
    the day of the cutoff so much later, whatever powers of two lie between."""
    parts = (cutoff.at - EPOCH) // MICROSECOND * PARTS_OF_A_DAY
    return (parts + DAY_US // 2) // DAY_US / PARTS_OF_A_DAY


def out_of_time(
    frame: pl.DataFrame, embargo: timedelta, fit: FitFrame, seed: int, origins: int = 1
) -> list[Series]:
    """One series for each origin, oldest first: fitted on all matured cutoffs up to the origin,
    scoring all at least an embargo after it. So no label of a fit reaches a scored cutoff.

    The first origin is the earliest with enough rows, so that the series is long; others follow at
    equal steps up to the last that leaves a matured cutoff to score. Raises LabelError where no
    cutoff has a label of both classes.
    """
    matured = _cutoffs(frame.filter(pl.col("churn").is_not_null()))
    able = [at for at in matured if at + embargo <= matured[-1] and _enough(_upto(frame, at))]
    if not able:
        return [_by_users(frame, fit, seed)]
    picked = np.unique(np.linspace(0, len(able) - 1, min(origins, len(able))).round().astype(int))
    return [_series(frame, able[index], embargo, fit) for index in picked]


def scored_by(
    frame: pl.DataFrame, predict: Predict, fitted_on: Sequence[Cutoff], by_users: bool
) -> Series:
    """What a model fitted elsewhere says of `frame`: give only rows that it had not seen, that is
    cutoffs an embargo after its fit, or users left out of it (`by_users`). A cutoff within an
    embargo after the fit may be given without its labels: outcomes of shorter horizons that lie
    after the last label of the fit, or of users left out, are as good."""
    return Series(tuple(sorted(fitted_on)), _score(frame, _cutoffs(frame), predict), by_users)


def churn_scores(series: Series) -> list[Scored]:
    """The series for `training.churn_level`, oldest first."""
    return [_scored(past) for past in series.scored]


def _known(rows: pl.DataFrame, name: str) -> Floats:
    """A column with NaN where it is not known, shape (n,)."""
    column = rows[name].cast(pl.Float64).fill_null(float("nan"))
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _cutoffs(frame: pl.DataFrame) -> list[datetime]:
    found: list[datetime] = frame["cutoff"].unique().sort().to_list()
    return found


def _upto(frame: pl.DataFrame, at: datetime) -> pl.DataFrame:
    return frame.filter(pl.col("cutoff") <= at, pl.col("churn").is_not_null())


def _enough(rows: pl.DataFrame) -> bool:
    churners = int(rows["churn"].sum())
    rarer = min(churners, len(rows) - churners)
    return len(rows) >= LEAST_ROWS and rarer >= LEAST_OF_A_CLASS


def _series(frame: pl.DataFrame, origin: datetime, embargo: timedelta, fit: FitFrame) -> Series:
    rows = _upto(frame, origin)
    predict = fit(rows)
    later = [at for at in _cutoffs(frame) if at >= origin + embargo]
    return Series(_as_cutoffs(_cutoffs(rows)), _score(frame, later, predict), by_users=False)


def _by_users(frame: pl.DataFrame, fit: FitFrame, seed: int) -> Series:
    held = user_share(seed) < HELD_SHARE
    rows = frame.filter(pl.col("churn").is_not_null(), ~held)
    if rows["churn"].n_unique() <= 1:
        raise LabelError(
            f"one class only to fit on at past cutoffs (found {len(rows)} labelled rows of half "
            "the users); shorten churn.horizon_days or ingest more users"
        )
    rest = frame.filter(held)
    return Series(
        _as_cutoffs(_cutoffs(rows)), _score(rest, _cutoffs(rest), fit(rows)), by_users=True
    )


def _score(frame: pl.DataFrame, at: Sequence[datetime], predict: Predict) -> tuple[PastCutoff, ...]:
    parts = [(each, frame.filter(pl.col("cutoff") == each).sort("user_id")) for each in at]
    return tuple(PastCutoff(Cutoff(each), rows, predict(rows)) for each, rows in parts)


def _as_cutoffs(at: Sequence[datetime]) -> tuple[Cutoff, ...]:
    return tuple(Cutoff(each) for each in at)


def _scored(past: PastCutoff) -> Scored:
    margin = past.margin
    names = [n for n in past.rows.columns if n == "churn" or EARLY.fullmatch(n)]
    outcome = {name: _known(past.rows, name) for name in names}
    early = {
        int(found[1]): binned(margin, values)
        for name, values in outcome.items()
        if (found := EARLY.fullmatch(name)) and np.isfinite(values).any()
    }
    known = np.isfinite(outcome["churn"]).any()
    return Scored(
        day=past.day,
        all=binned(margin, np.zeros(len(margin))),
        churn=binned(margin, outcome["churn"]) if known else None,
        early=early,
    )
