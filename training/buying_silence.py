"""BG/NBD or MBG/NBD as an estimator of churn that is silence: it reads three features.

A customer who is alive comes back at a rate of their own, and leaves for good after some time
with a chance of their own; see `buying_predict`. Nothing but the dates of activity before the
cutoff is learned from, so it has an answer for any horizon, whether or not a label of it exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from runtime.files import write_json
from training.buying_columns import Places, activity
from training.buying_fit import Fit
from training.buying_predict import EXTRA, NAMES, Kind, Law
from training.calibration import FAR
from training.metrics import Floats
from training.rows import Matrix
from training.shapley import shapley

LEAST = 1e-300


@dataclass(frozen=True)
class Span:
    """After the gap the horizon, whose steps end after so many days; one: it is learned as one."""

    gap_days: int
    ends_days: tuple[int, ...]

    def parts(self, x: Matrix) -> Iterator[tuple[npt.NDArray[np.bool_], Matrix, int, int]]:
        """The rows of each step (the last column says which, where there are several), their
        features, and where it begins and ends, in days after the gap."""
        if len(self.ends_days) == 1:
            yield np.ones(len(x), np.bool_), x, 0, self.ends_days[0]
            return
        for step, (start, end) in enumerate(pairwise((0, *self.ends_days))):
            mine = x[:, -1] == step
            yield mine, x[mine], start, end


@dataclass(frozen=True)
class Silence:
    """`fit`: of `kind`, in days; `at`: the places of `buying_columns.ACTIVITY`; `usual`: their
    medians among those fitted on, against which reasons are given."""

    kind: Kind
    fit: Fit
    at: Places
    span: Span
    usual: tuple[float, ...]

    SUFFIX: ClassVar[str] = ".silence.json"

    @property
    def law(self) -> Law:
        r, alpha, a, b = self.fit.values
        return Law(r, alpha, a, b, EXTRA[self.kind])

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of silence, shape (n,); with steps those that the wait of one who is silent
        until the row's step ends in it: the steps together give the horizon's silence."""
        found = np.empty(len(x))
        law, gap = self.law, float(self.span.gap_days)
        for mine, rows, start, end in self.span.parts(x):
            known = activity(rows, self.at)
            comes = np.log(np.maximum(law.back(known, start, end, gap), LEAST))
            silent = np.log(np.maximum(law.silent(known, end, gap), LEAST))
            found[mine] = silent - comes if len(self.span.ends_days) == 1 else comes - silent
        return np.clip(found, -FAR, FAR)

    def contributions(self, x: Matrix) -> Floats:
        """Exact Shapley values against the usual user, shape (n, columns of x): only the features
        that are read have any."""
        return shapley(self.margin, x, self.at, self.usual)

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Silence:
        raw = json.loads(path.read_text(encoding="utf-8"))
        fit = Fit.from_dict(raw["fit"], NAMES)
        at, usual = tuple(raw["at"]), tuple(raw["usual"])
        return cls(raw["kind"], fit, at, span_of(raw["span"]), usual)

    def __str__(self) -> str:
        return told(self.kind, self.fit)


def span_of(raw: dict[str, Any]) -> Span:
    return Span(raw["gap_days"], tuple(raw["ends_days"]))


def told(kind: Kind, fit: Fit) -> str:
    """The parameters in words."""
    each = zip(fit.names, fit.values, strict=True)
    values = ", ".join(f"{name} {value:.4g}" for name, value in each)
    return f"{kind.upper()} of {fit.customers:,} users ({values}; days)"
