"""Frames of snapshots as arrays for fitting, with nothing learnt from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from runtime.errors import LabelError, ModelError
from training.metrics import Floats
from training.split import user_fold

Matrix = npt.NDArray[np.float32]
LARGEST = 3.0e38
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Rows:
    """Labelled rows. `value` is None where the log has no amounts."""

    features: tuple[str, ...]
    x: Matrix  # (n, features); missing is NaN
    churn: Floats  # (n,), 0 or 1
    value: Floats | None  # (n,), money
    fold: npt.NDArray[np.int64]  # (n,), the same for all rows of a user
    users: npt.NDArray[np.str_]  # (n,)
    day: Floats  # (n,), of the cutoff, since 1970

    def __len__(self) -> int:
        return len(self.churn)

    def where(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """The rows that `keep`, shape (n,), says."""
        value = None if self.value is None else self.value[keep]
        return Rows(
            self.features,
            self.x[keep],
            self.churn[keep],
            value,
            self.fold[keep],
            self.users[keep],
            self.day[keep],
        )


def matrix(frame: pl.DataFrame, features: tuple[str, ...]) -> Matrix:
    """Shape (n, features); null, NaN and infinite are all NaN. Raises ModelError naming columns."""
    missing = [name for name in features if name not in frame.columns]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        raise ModelError(
            f"the features lack {len(missing)} columns that the model was fitted on: {shown}; "
            "make them with the feature spec of the model"
        )
    texts = [
        n for n in features if not (frame[n].dtype.is_numeric() or frame[n].dtype == pl.Boolean)
    ]
    if texts:
        raise ModelError(
            f"the feature '{texts[0]}' is {frame[texts[0]].dtype}; give it as a number"
        )
    column = pl.col(features).cast(pl.Float64)
    known = pl.when(column.is_finite()).then(column.clip(-LARGEST, LARGEST))
    cast = frame.select(known.cast(pl.Float32).fill_null(float("nan")))
    return cast.to_numpy(order="c") if features else np.empty((len(frame), 0), np.float32)


def labelled(frame: pl.DataFrame, features: tuple[str, ...], role: str, seed: int) -> Rows:
    """The rows of `frame` that have a churn label. Raises LabelError where there are none."""
    known = frame.filter(pl.col("churn").is_not_null())
    if known.is_empty():
        raise LabelError(
            f"no labelled user to {role} on (found {len(frame)} rows); train as of later, "
            "ingest more users, widen [eligible] or shorten churn.horizon_days"
        )
    value = known["value"].cast(pl.Float64)
    return Rows(
        features=features,
        x=matrix(known, features),
        churn=known["churn"].cast(pl.Float64).to_numpy(),
        value=None if value.null_count() == len(value) else value.fill_null(0.0).to_numpy(),
        fold=known.select(user_fold(seed)).to_series().to_numpy(),
        users=known["user_id"].to_numpy().astype(np.str_),
        day=days_of(known["cutoff"]),
    )


def days_of(cutoff: pl.Series) -> Floats:
    """Since 1970, shape (n,), with the part of a day."""
    return (cutoff.dt.epoch("us") / DAY_US).to_numpy()


def both_classes(rows: Rows, role: str, of_ends: bool = False) -> None:
    """Raises LabelError where all rows churn or none does. `of_ends`: 1 is a silence that ended,
    so that such a user does not churn."""
    ones = int(rows.churn.sum())
    if 0 < ones < len(rows):
        return
    churn = bool(ones) != of_ends
    users, found = len(np.unique(rows.users)), "all churn" if churn else "none churns"
    remedy = "lengthen" if churn else "shorten"
    raise LabelError(
        f"one class only to {role} on: of {users} labelled users {found}; {remedy} "
        "churn.horizon_days or change the definition of churn"
    )
