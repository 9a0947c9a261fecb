"""What a training leaves behind: everything scoring needs, in JSON and XGBoost's own format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.plan import VERSION
from features.spec import FeatureSpec
from runtime.clock import show
from runtime.errors import ModelError
from runtime.files import make_folder, write_json
from training import bundle
from training.blend import Blend
from training.buying_silence import Silence
from training.buying_spending import Spending
from training.calibration import FAR, Calibrator
from training.churn_interval import ChurnInterval
from training.column import BESIDE, Column
from training.forest import Forest
from training.linear import Linear
from training.metrics import Floats
from training.own_levels import OwnLevels
from training.quantiles import Quantiles
from training.rows import Matrix, matrix
from training.spread import Spread, interval
from training.stepwise import at_step
from training.trees import Trees
from training.two_part import TwoPart
from training.worth import Worth
from training.ziln import Ziln

if TYPE_CHECKING:
    from training.sequence_columns import SequenceColumns

Estimator = Linear | Forest | Trees | Column | Silence | Blend
# All but Estimator have no reasons to give.
ValueEstimator = Estimator | TwoPart | Ziln | Quantiles | Spending
OF_VALUE: tuple[Any, ...] = (TwoPart, Ziln, Quantiles, Spending)
ALONE: tuple[Any, ...] = (Linear, Forest, Trees, Column, Silence, *OF_VALUE)
SEQUENCE = "sequence"  # the folder of the sequence model
FORMAT = {"holdfast": "model", "schema_version": 4, "features_version": VERSION}
# What `Model.predict` gives: intervals hold 90 %.
PREDICTED = (
    "churn_probability",
    "churn_low",
    "churn_high",
    "expected_value",
    "median_value",
    "value_low",
    "value_high",
)


@dataclass(frozen=True)
class Model:
    """`value` is None on a log without amounts; `medians` are those of the fit rows, by feature.

    With `steps` (where each ends, in days after the gap) the estimators and the calibrator are of
    one step, and take its number as one more column: see `training.stepwise`.
    """

    kind: str  # of `training.kinds.spec_of`, or "auto"
    spec: FeatureSpec
    features: tuple[str, ...]
    as_of: datetime
    churn: Estimator
    calibrator: Calibrator
    value: ValueEstimator | None = None
    value_scale: float = 0.0  # money per unit of the value estimator
    medians: dict[str, float] = field(default_factory=dict)
    steps: tuple[int, ...] = ()
    worth: Worth | None = None  # from an expected value to the distribution of value
    own_levels: OwnLevels | None = None  # of a model that has one of its own: then that
    churn_interval: ChurnInterval | None = None
    sequence: SequenceColumns | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the matrix that the estimators read."""
        return (*self.features, *BESIDE) if self.sequence else self.features

    def rows(self, frame: pl.DataFrame) -> Matrix:
        """`frame` as the estimators read it, shape (n, inputs).

        With a sequence model the frame has its columns (BESIDE), or the lists that they are made
        of (`features.sequence_now`). Raises ModelError naming what lacks.
        """
        if self.sequence and not set(BESIDE) <= set(frame.columns):
            frame = frame.hstack(self.sequence.of_lists(frame))
        return matrix(frame, self.inputs)

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """PREDICTED, a row for each of `frame`'s: probabilities in (0, 1), values in money.

        Those of value are null on a log without amounts. Raises ModelError naming the features
        that `frame` lacks.
        """
        x = self.rows(frame)
        margin, probability = self._churn(x)
        found: dict[str, Floats | None] = {"churn_probability": probability}
        if self.churn_interval:
            ends = self.churn_interval(margin, probability)
            found["churn_low"], found["churn_high"] = ends
        found["expected_value"] = value = self.expected_value(x)
        if value is not None and (spread := self.value_spread(x, value)):
            found["median_value"] = spread.median
            found["value_low"], found["value_high"] = interval(spread)
        none = [None] * len(x)
        columns = {name: found.get(name) for name in PREDICTED}
        return pl.DataFrame(
            {n: pl.Series(none if c is None else c, dtype=pl.Float64) for n, c in columns.items()}
        )

    def churn_probability(self, x: Matrix) -> Floats:
        return self._churn(x)[1]

    def churn_margin(self, x: Matrix) -> Floats:
        """The log-odds that `churn_interval` is about, shape (n,): before calibration; with steps
        those of the probability that the steps make together."""
        return self._churn(x)[0]

    def _churn(self, x: Matrix) -> tuple[Floats, Floats]:
        if not len(x):
            return np.empty(0), np.empty(0)
        margins = self.churn_margins(x)
        probability = self.churn_of(margins)
        if not self.steps:
            return margins[0], probability
        odds = np.log(probability) - np.log1p(-probability)
        return np.clip(odds, -FAR, FAR), probability

    def churn_margins(self, x: Matrix) -> list[Floats]:
        """What is calibrated, each of shape (n,): log-odds of churn, or of the hazard of each
        step."""
        if not self.steps:
            return [self.churn.margin(x)]
        return [self.churn.margin(at_step(x, k)) for k in range(len(self.steps))]

    def churn_of(self, margins: Sequence[Floats]) -> Floats:
        """The probability of churn, shape (n,), of `churn_margins`."""
        if not self.steps:
            return self.calibrator(margins[0])
        waits = np.exp(sum(np.log1p(-self.calibrator(margin)) for margin in margins))
        return np.asarray(waits if self.is_silence else 1.0 - waits)

    @property
    def is_silence(self) -> bool:
        """Whether churn is that nothing happens."""
        return self.spec.definitions.churn.kind == "passive"

    def expected_value(self, x: Matrix) -> Floats | None:
        if self.value is None:
            return None
        if not len(x):
            return np.empty(0)
        if not self.steps:
            return self.value_scale * np.exp(self.value.margin(x))
        each = (self.value.margin(at_step(x, k)) for k in range(len(self.steps)))
        return np.asarray(self.value_scale * sum(np.exp(margin) for margin in each))

    def value_spread(self, x: Matrix, mean: Floats) -> Spread | None:
        """The distribution of value in money, of rows whose `expected_value` is `mean`, (n,); None
        where there is none."""
        if self.own_levels and isinstance(self.value, Quantiles):
            return self.own_levels.spread(self.value, x, mean, self.value_scale)
        return self.worth.spread(mean) if self.worth else None

    def until(self, days: int) -> Model:
        """The same of a shorter horizon, which ends with one of the steps."""
        return replace(self, steps=self.steps[: self.steps.index(days) + 1])

    def contributions(self, frame: pl.DataFrame) -> Floats:
        """What each feature adds to the log-odds of churn before calibration: (n, features).

        TreeSHAP for trees; coefficient times distance from the mean for logistic regression,
        whose flags of missing values count with their feature. With steps: of the middle one.
        """
        x = matrix(frame, self.features)
        if not len(x):
            return np.empty(x.shape)
        if not self.steps:
            return self.churn.contributions(x)
        parts = self.churn.contributions(at_step(x, len(self.steps) // 2))[:, :-1]
        return -parts if self.is_silence else parts

    def save(self, folder: Path) -> Path:
        """Writes `model.json`, the files of the estimators and the seal of all into `folder`."""
        make_folder(folder)
        if self.sequence:
            self.sequence.save(folder / SEQUENCE)
        self.churn.save(folder / f"churn{self.churn.SUFFIX}")
        if self.value is not None:
            self.value.save(folder / f"value{self.value.SUFFIX}")
        write_json(folder / "model.json", self._summary())
        bundle.seal(folder)
        return folder

    def _summary(self) -> dict[str, Any]:
        return FORMAT | {
            "kind": self.kind,
            "spec": self.spec.to_dict(),
            "features": list(self.features),
            "as_of": self.as_of.isoformat(),
            "calibrator": self.calibrator.to_dict(),
            "value_scale": self.value_scale,
            "has_value": self.value is not None,
            "medians": self.medians,
            "steps": list(self.steps),
            "worth": self.worth.to_dict() if self.worth else None,
            "own_levels": self.own_levels.to_dict() if self.own_levels else None,
            "churn_interval": self.churn_interval.to_dict() if self.churn_interval else None,
        }

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Raises ModelError where `folder` holds no model, one of another version, or one that was
        changed after it was written."""
        try:
            raw = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder}: holds no readable model ({error}); train again") from None
        found = {key: raw.get(key) for key in FORMAT}
        if found != FORMAT:
            raise ModelError(f"{folder}: holds {found}, this Holdfast reads {FORMAT}; train again")
        bundle.check(folder)
        return cls(
            sequence=_sequence(folder),
            kind=raw["kind"],
            spec=FeatureSpec.from_dict(raw["spec"]),
            features=tuple(raw["features"]),
            as_of=datetime.fromisoformat(raw["as_of"]),
            churn=_load(folder, "churn"),
            calibrator=Calibrator.from_dict(raw["calibrator"]),
            value=_load(folder, "value") if raw["has_value"] else None,
            value_scale=raw["value_scale"],
            medians=raw["medians"],
            steps=tuple(raw["steps"]),
            worth=Worth.from_dict(raw["worth"]) if raw["worth"] else None,
            own_levels=OwnLevels.from_dict(raw["own_levels"]) if raw["own_levels"] else None,
            churn_interval=_interval(raw["churn_interval"]),
        )

    def __str__(self) -> str:
        return f"{self.kind} as of {show(self.as_of)}, {len(self.features)} features"


def _sequence(folder: Path) -> SequenceColumns | None:
    """PyTorch is loaded for a model that needs it, and for no other."""
    if not (folder / SEQUENCE).is_dir():
        return None
    from training.sequence_columns import SequenceColumns

    return SequenceColumns.load(folder / SEQUENCE)


def _interval(raw: dict[str, Any] | None) -> ChurnInterval | None:
    return ChurnInterval.from_dict(raw) if raw else None


def _load(folder: Path, name: str) -> Any:
    if (path := folder / f"{name}{Blend.SUFFIX}").exists():
        return Blend.load(path, partial(_load, folder))
    for estimator in ALONE:
        if (path := folder / f"{name}{estimator.SUFFIX}").exists():
            return estimator.load(path)
    raise ModelError(f"{folder}: lacks the {name} estimator; train again")
