"""What a training leaves behind: everything scoring needs, in JSON and XGBoost's own format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.spec import FeatureSpec
from runtime.clock import show
from runtime.errors import ModelError
from runtime.files import make_folder, write_json
from training import bundle
from training.blend import Blend
from training.calibration import Calibrator
from training.forest import Forest
from training.linear import Linear
from training.metrics import Floats
from training.rows import Matrix, matrix
from training.stepwise import at_step
from training.trees import Trees

Estimator = Linear | Forest | Trees | Blend
ALONE: tuple[type[Linear] | type[Forest] | type[Trees], ...] = (Linear, Forest, Trees)
FORMAT = {"holdfast": "model", "schema_version": 3}


@dataclass(frozen=True)
class Model:
    """`value` is None on a log without amounts; `medians` are those of the fit rows, by feature.

    With `steps` (where each ends, in days after the gap) the estimators and the calibrator are of
    one step, and take its number as one more column: see `training.stepwise`.
    """

    kind: str  # "auto", "xgboost", "forest", "logistic"
    spec: FeatureSpec
    features: tuple[str, ...]
    as_of: datetime
    churn: Estimator
    calibrator: Calibrator
    value: Estimator | None = None
    value_scale: float = 0.0  # money per unit of the value estimator
    medians: dict[str, float] = field(default_factory=dict)
    steps: tuple[int, ...] = ()

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """churn_probability in (0, 1) and expected_value in money, a row for each of `frame`'s.

        expected_value is null on a log without amounts. Raises ModelError naming the features
        that `frame` lacks.
        """
        x = matrix(frame, self.features)
        value = self.expected_value(x)
        return pl.DataFrame(
            {
                "churn_probability": self.churn_probability(x),
                "expected_value": pl.Series(
                    [None] * len(x) if value is None else value, dtype=pl.Float64
                ),
            }
        )

    def churn_probability(self, x: Matrix) -> Floats:
        if not len(x):
            return np.empty(0)
        if not self.steps:
            return self.calibrator(self.churn.margin(x))
        each = (self.calibrator(self.churn.margin(at_step(x, k))) for k in range(len(self.steps)))
        waits = np.exp(sum(np.log1p(-hazard) for hazard in each))
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
        )

    def __str__(self) -> str:
        return f"{self.kind} as of {show(self.as_of)}, {len(self.features)} features"


def _load(folder: Path, name: str) -> Estimator:
    if (path := folder / f"{name}{Blend.SUFFIX}").exists():
        return Blend.load(path, partial(_load, folder))
    for estimator in ALONE:
        if (path := folder / f"{name}{estimator.SUFFIX}").exists():
            return estimator.load(path)
    raise ModelError(f"{folder}: lacks the {name} estimator; train again")
