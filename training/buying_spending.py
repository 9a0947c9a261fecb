"""Expected purchases by BG/NBD or MBG/NBD times their expected amount by Gamma-Gamma, as an
estimator of value (Fader, Hardie & Lee 2005, "RFM and CLV")."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from runtime.files import write_json
from training.buying_columns import Places, purchases
from training.buying_fit import Fit
from training.buying_predict import NAMES, Kind
from training.buying_silence import Span, law_of, span_of
from training.buying_spend import NAMES as SPEND_NAMES
from training.buying_spend import Spend, finite_spend
from training.metrics import Floats
from training.rows import Matrix

LEAST = 1e-9  # of relative value


@dataclass(frozen=True)
class Spending:
    """`fit`: of `kind`, in days; `spend`: of Gamma-Gamma, None where amounts do not tell it;
    `at`: the places of `buying_columns.PURCHASES`.

    amount    the mean of a purchase, said where Gamma-Gamma has none to say or an infinite one
    never     value a day of who has never bought
    unit      the mean value: what relative value is relative to
    """

    kind: Kind
    fit: Fit
    spend: Fit | None
    at: Places
    span: Span
    amount: float
    never: float = 0.0
    unit: float = 1.0

    SUFFIX: ClassVar[str] = ".spending.json"

    def value(self, x: Matrix) -> Floats:
        """Expected value within the horizon or the row's step, shape (n,), in the currency of the
        log. Purchases that will be given back are in it: only a later slice knows how many."""
        found, law = np.empty(len(x)), law_of(self.kind, self.fit)
        for mine, rows, start, end in self.span.parts(x):
            bought = purchases(rows, self.at)
            gap = float(self.span.gap_days + start)
            times = law.purchases(bought.times, float(end - start), gap)
            never = self.never * (end - start)
            found[mine] = np.where(bought.some, times * self._amounts(bought.spend), never)
        return found

    def _amounts(self, known: Spend) -> Floats:
        """Of the next purchase of each, shape (n,)."""
        if self.spend is None:
            return np.full(len(known), self.amount)
        return finite_spend(self.spend, known, self.amount)

    def margin(self, x: Matrix) -> Floats:
        """The log of the expected relative value, shape (n,)."""
        return np.asarray(np.log(np.maximum(self.value(x) / self.unit, LEAST)))

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Spending:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            kind=raw["kind"],
            fit=Fit.from_dict(raw["fit"], NAMES),
            spend=Fit.from_dict(raw["spend"], SPEND_NAMES) if raw["spend"] else None,
            at=tuple(raw["at"]),
            span=span_of(raw["span"]),
            amount=raw["amount"],
            never=raw["never"],
            unit=raw["unit"],
        )
