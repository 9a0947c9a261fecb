"""The space in which users are grouped: a few behaviours, each of which counts the same.

Columns of one behaviour say much the same, so a behaviour with many of them must not count more
than one with few. Each column is put on a scale that one odd user cannot stretch; then each
behaviour is given the same mean squared distance between users, whatever the number of its
columns (the idea of Multiple Factor Analysis, Escofier and Pagès 1994: balance the blocks).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.dictionary import dictionary
from features.spec import FeatureSpec
from runtime.errors import UsageError
from training.metrics import Floats
from training.rows import Matrix

MOST_SPREADS = 4.0
NORMAL_IQR = 1.349  # of a normal distribution, in standard deviations
# Differences that do not matter are not blown up into distance: a quarter, or 5 in a hundred.
LEAST_LOG_SPREAD, LEAST_SPREAD = float(np.log(1.25)), 0.05
PLAIN_UNITS = ("share", "flag")

# Of each behaviour the catalogue's columns, the first of those there are being its lead. {m} and
# {l} stand for the window nearest to a month and the longest one.
BEHAVIOURS: dict[str, tuple[str, ...]] = {
    "recency": ("recency_days", "purchase_recency_days"),
    "frequency": (
        "active_days_{l}",
        "active_days_total",
        "active_days_{m}",
        "events_{l}",
        "purchases_{l}",
    ),
    "monetary": ("amount_{l}", "amount_total", "amount_mean", "amount_{m}"),
    "tenure": ("tenure_days",),
    "breadth": ("kinds_total", "channels_total", "kinds_{m}", "kinds_entropy_total"),
    "depth": ("events_per_active_day", "session_depth_total", "session_minutes_total"),
    "rhythm": ("gap_burstiness", "gap_mean_days", "active_day_share", "streak_max_days"),
    "trend": (r"events_change_{m}_\d+d", "events_slope_3_months", "gap_now_over_mean"),
}


@dataclass(frozen=True)
class Axis:
    """One column of the space. `missing`: it says that the feature is null and nothing else."""

    feature: str
    behaviour: str
    missing: bool
    logged: bool
    middle: float
    spread: float
    weight: float = 1.0


@dataclass(frozen=True)
class Space:
    """Features to coordinates; learned on the rows of one cutoff."""

    features: tuple[str, ...]
    axes: tuple[Axis, ...]

    def __call__(self, x: Matrix) -> Floats:
        """Shape (n, axes), from (n, features). Null lies at the middle; the axis that says so
        tells it from a user who is really there."""
        place = {name: i for i, name in enumerate(self.features)}
        z = np.zeros((len(x), len(self.axes)))
        for j, axis in enumerate(self.axes):
            z[:, j] = _scaled(x[:, place[axis.feature]], axis) * axis.weight
        return z

    @property
    def behaviours(self) -> tuple[str, ...]:
        """Those by which users differ, in the order of BEHAVIOURS."""
        found = {axis.behaviour for axis in self.axes}
        return tuple(name for name in BEHAVIOURS if name in found)

    def to_dict(self) -> dict[str, Any]:
        return {"features": list(self.features), "axes": [asdict(axis) for axis in self.axes]}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Space:
        return cls(tuple(raw["features"]), tuple(Axis(**axis) for axis in raw["axes"]))


def columns_of(spec: FeatureSpec) -> dict[str, tuple[str, ...]]:
    """The spec's features of each behaviour that it has any of, the lead first.

    Raises UsageError where it has none.
    """
    named = dictionary(spec)
    windows = {"m": spec.month, "l": max(spec.windows, key=lambda w: w.days, default=None)}
    found: dict[str, tuple[str, ...]] = {}
    for behaviour, patterns in BEHAVIOURS.items():
        filled = [re.sub(r"\{([ml])\}", lambda m: str(windows[m[1]]), p) for p in patterns]
        names = [name for p in filled for name in named if re.fullmatch(p, name)]
        if names:
            found[behaviour] = tuple(dict.fromkeys(names))
    if not found:
        raise UsageError(
            f"features.set = '{spec.set}': has no column that tells how users behave; use "
            "'default' or 'lean', or add recency_days, active_days_* and the like"
        )
    return found


def fit_space(x: Matrix, spec: FeatureSpec) -> Space:
    """`x`: shape (n, features), in the order of `columns_of`'s names, users in any order.

    Columns without any spread are left out; the space then may have no axis at all.
    """
    columns = columns_of(spec)
    names = tuple(name for of in columns.values() for name in of)
    units = {name: feature.unit for name, feature in dictionary(spec).items()}
    axes: list[Axis] = []
    told: set[bytes] = set()
    place = {name: i for i, name in enumerate(names)}
    for behaviour, of in columns.items():
        block = [
            axis
            for name in of
            for axis in _axes(name, behaviour, units[name], x[:, place[name]], told)
        ]
        axes += _balanced(block, [x[:, place[axis.feature]] for axis in block])
    return Space(names, tuple(axes))


def _axes(name: str, behaviour: str, unit: str, column: Matrix, told: set[bytes]) -> list[Axis]:
    """The feature's own axis, and one for its absence unless an earlier one tells the same."""
    known = column[~np.isnan(column)].astype(np.float64)
    logged = unit not in PLAIN_UNITS
    found = []
    if len(known) and known.min() < known.max():
        values = signed_log(known) if logged else known
        middle = float(np.median(values))
        least = LEAST_LOG_SPREAD if logged else LEAST_SPREAD
        found.append(Axis(name, behaviour, False, logged, middle, max(_spread(values), least)))
    absent = np.isnan(column)
    pattern = np.packbits(absent).tobytes()
    if absent.any() and not absent.all() and pattern not in told:
        told.add(pattern)
        share = float(absent.mean())
        spread = max(float(np.sqrt(share * (1 - share))), LEAST_SPREAD)
        found.append(Axis(name, behaviour, True, False, share, spread))
    return found


def _spread(values: Floats) -> float:
    """The quartiles' distance as a standard deviation; the deviation itself where more than half
    of the values are one, as in columns that are mostly 0."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float((high - low) / NORMAL_IQR if high > low else values.std())


def _balanced(block: Sequence[Axis], columns: Sequence[Matrix]) -> list[Axis]:
    """Weights by which the behaviour's squared distances are 1 on average, or less where its
    columns differ by too little to matter."""
    inertia = sum(float(_scaled(c, a).var()) for a, c in zip(block, columns, strict=True))
    weight = 1 / float(np.sqrt(max(inertia, 1.0)))
    return [Axis(**(asdict(axis) | {"weight": weight})) for axis in block]


def _scaled(column: Matrix, axis: Axis) -> Floats:
    """Shape (n,): in spreads from the middle, at most MOST_SPREADS."""
    absent = np.isnan(column)
    if axis.missing:
        values = absent.astype(np.float64)
    else:
        known = np.where(absent, 0.0, column).astype(np.float64)
        values = np.where(absent, axis.middle, signed_log(known) if axis.logged else known)
    return np.asarray(np.clip((values - axis.middle) / axis.spread, -MOST_SPREADS, MOST_SPREADS))


def signed_log(x: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float64)
