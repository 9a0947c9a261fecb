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
    medians among those fitted on, against which reasons are given.

    doubt   the share of users who do not behave as their history says, but as anybody: the law is
            all too sure that who came often and then stopped has left
    comes   anybody's chance to come back first in each step
    """

    kind: Kind
    fit: Fit
    at: Places
    span: Span
    usual: tuple[float, ...]
    doubt: float
    comes: tuple[float, ...]

    SUFFIX: ClassVar[str] = ".silence.json"

    @property
    def law(self) -> Law:
        return law_of(self.kind, self.fit)

    def margin(self, x: Matrix) -> Floats:
        """Log-odds of silence, shape (n,); with steps those that the wait of one who is silent
        until the row's step ends in it: the steps together give the horizon's silence."""
        comes, silent = self.chances(x)
        odds = np.log(np.maximum(silent, LEAST)) - np.log(np.maximum(comes, LEAST))
        return np.asarray(np.clip(odds if len(self.span.ends_days) == 1 else -odds, -FAR, FAR))

    def chances(self, x: Matrix) -> tuple[Floats, Floats]:
        """Of coming back first in the row's step, and of silence until it ends, each (n,)."""
        comes, silent = np.empty(len(x)), np.empty(len(x))
        law, gap = self.law, float(self.span.gap_days)
        for step, (mine, rows, start, end) in enumerate(self.span.parts(x)):
            known = activity(rows, self.at)
            comes[mine] = (1 - self.doubt) * law.back(known, start, end, gap)
            silent[mine] = (1 - self.doubt) * law.silent(known, end, gap)
            if self.doubt:
                comes[mine] += self.doubt * self.comes[step]
                silent[mine] += self.doubt * (1 - sum(self.comes[: step + 1]))
        return comes, silent

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
        span, comes = span_of(raw["span"]), tuple(raw["comes"])
        return cls(raw["kind"], fit, at, span, usual, raw["doubt"], comes)

    def __str__(self) -> str:
        return told(self.kind, self.fit)


def span_of(raw: dict[str, Any]) -> Span:
    return Span(raw["gap_days"], tuple(raw["ends_days"]))


def law_of(kind: Kind, fit: Fit) -> Law:
    r, alpha, a, b = fit.values
    return Law(r, alpha, a, b, EXTRA[kind])


def told(kind: Kind, fit: Fit) -> str:
    """The parameters in words."""
    each = zip(fit.names, fit.values, strict=True)
    values = ", ".join(f"{name} {value:.4g}" for name, value in each)
    return f"{kind.upper()} of {fit.customers:,} users ({values}; days)"
