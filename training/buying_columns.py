"""What a model of buying reads of a matrix of features: how often, until when, since when.

Of activity a time is a calendar day with any. Of purchases it is one too as far as the features
tell: they count rows, so no more times than active days are counted, which takes the lines of one
order for one wherever nothing but orders is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from runtime.clock import DAY
from runtime.errors import UsageError
from training.buying_data import Histories
from training.buying_spend import Spend
from training.metrics import Floats
from training.rows import Matrix

ACTIVITY = ("active_days_total", "recency_days", "tenure_days")
PURCHASES = (
    "purchases_total",
    "purchase_recency_days",
    "purchase_tenure_days",
    "amount_mean",
    "active_days_total",
)
MOSTLY = 0.9
MOST = 1e6  # times, and days: what is beyond says no more

Places = tuple[int, ...]


@dataclass(frozen=True)
class Bought:
    """`some`: who has bought at all, shape (n,); the others' history is that of a newcomer."""

    some: npt.NDArray[np.bool_]
    times: Histories
    spend: Spend


def places_of(names: tuple[str, ...], features: tuple[str, ...]) -> Places:
    """Where the features are. Raises UsageError naming one that is lacking."""
    if lacking := [name for name in names if name not in features]:
        raise UsageError(
            f"model 'buying': reads the feature '{lacking[0]}', which is not among the "
            f'{len(features)} of this log; take a set that has it (features.set = "default")'
        )
    return tuple(features.index(name) for name in names)


def activity(x: Matrix, at: Places, silent_days: Floats | float = 0.0) -> Histories:
    """Of rows of features, shape (n, features); `at`: the places of ACTIVITY.

    silent_days   for how long after its cutoff a row is known to have stayed silent
    """
    days, recency, tenure = (_known(x, place) for place in at)
    return _times(days, recency, tenure, silent_days)


def purchases(x: Matrix, at: Places, silent_days: Floats | float = 0.0) -> Bought:
    """The same; `at`: the places of PURCHASES. Who has a mean amount that is not above 0 (more
    given back than bought) has no known amount."""
    rows, recency, tenure, mean, days = (_known(x, place) for place in at)
    bought = np.minimum(rows, np.maximum(days, 1.0))
    amount = mean * rows / np.maximum(bought, 1.0)  # of a time
    spend = Spend(np.where(amount > 0, bought, 0.0), amount)
    return Bought(rows > 0, _times(bought, recency, tenure, silent_days), spend)


def is_of_purchases(x: Matrix, features: tuple[str, ...]) -> bool:
    """Whether the log is one of purchases: what is activity is a purchase for MOSTLY all rows of
    `x`, whose first columns are the features. Not where they do not tell."""
    if not {*ACTIVITY, *PURCHASES} <= set(features) or not len(x):
        return False
    bought = purchases(x, places_of(PURCHASES, features))
    active = activity(x, places_of(ACTIVITY, features))
    pairs = zip(vars(bought.times).values(), vars(active).values(), strict=True)
    same = np.logical_and.reduce([bought.some, *(one == other for one, other in pairs)])
    return bool(same.mean() >= MOSTLY)


def _known(x: Matrix, place: int) -> Floats:
    """A column; what is missing counts as 0, so that nothing is known of such a user."""
    return np.nan_to_num(x[:, place].astype(np.float64), nan=0.0)


def _times(count: Floats, recency: Floats, tenure: Floats, silent: Floats | float) -> Histories:
    """`buying_data`'s x, t_x and T. Tenure may begin with an event that is no activity: whose only
    day it was, is counted from that day."""
    repeats = np.floor(np.clip(count, 1.0, MOST)) - 1
    since = np.where(repeats > 0, tenure, recency)
    age = np.clip(since, 0.0, MOST)
    last = np.where(repeats > 0, np.clip(age - np.maximum(recency, 0.0), 0.0, age), 0.0)
    return Histories(repeats, last, age + silent)


@dataclass(frozen=True)
class Newest:
    """`rows`: each user's newest; `silent_days`: for how long after its cutoff the user is known to
    have been silent, shape (n,); `window_days`: all have been active in so many days before the
    newest cutoff, None: in any."""

    rows: pl.DataFrame
    silent_days: Floats
    window_days: float | None


def newest(rows: pl.DataFrame, within_days: int | None) -> Newest:
    """Of rows of snapshots; `within_days`: `eligible.within_days`.

    Who has no row at a cutoff was not active in as many days before it. Over cutoffs no further
    apart than that nothing is missed, so the longest such run of them is read.
    """
    at = rows["cutoff"].unique().sort().to_list()
    if within_days is not None:
        at = _run(at, within_days * DAY)
        rows = rows.filter(pl.col("cutoff").is_in(at))
    last = rows.filter(pl.col("cutoff") == pl.col("cutoff").max().over("user_id"))
    if within_days is None:
        return Newest(last, np.zeros(len(last)), None)
    silence = last.select((pl.lit(at[-1]) - pl.col("cutoff")) / DAY).to_series()
    return Newest(last, silence.to_numpy(), within_days + (at[-1] - at[0]) / DAY)


def _run(at: list[datetime], apart: timedelta) -> list[datetime]:
    """Of instants, oldest first, the longest run whose distances are no more than `apart`; of two
    as long the newer."""
    runs: list[list[datetime]] = []
    for instant in at:
        if runs and instant - runs[-1][-1] <= apart:
            runs[-1].append(instant)
        else:
            runs.append([instant])
    return max(runs, key=lambda run: (run[-1] - run[0], run[-1]))
