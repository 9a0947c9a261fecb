"""What a training leaves behind: everything scoring needs, in JSON and XGBoost's own format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.spec import FeatureSpec
from runtime.clock import show
from runtime.errors import ModelError
from runtime.files import make_folder, write_json
from training.calibration import Calibrator
from training.linear import Linear
from training.metrics import Floats
from training.rows import Matrix, matrix
from training.trees import Trees

Estimator = Linear | Trees
ESTIMATORS: tuple[type[Linear] | type[Trees], ...] = (Linear, Trees)
FORMAT = {"holdfast": "model", "schema_version": 1}


@dataclass(frozen=True)
class Model:
    """`value` is None on a log without amounts; `medians` are those of the fit rows, by feature."""

    kind: str  # "xgboost", "logistic"
    spec: FeatureSpec
    features: tuple[str, ...]
    as_of: datetime
    churn: Estimator
    calibrator: Calibrator
    value: Estimator | None = None
    value_scale: float = 0.0  # money per unit of the value estimator
    medians: dict[str, float] = field(default_factory=dict)

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
        return self.calibrator(self.churn.margin(x))

    def expected_value(self, x: Matrix) -> Floats | None:
        if self.value is None:
            return None
        return self.value_scale * np.exp(self.value.margin(x)) if len(x) else np.empty(0)

    def contributions(self, frame: pl.DataFrame) -> Floats:
        """What each feature adds to the log-odds of churn before calibration: (n, features).

        TreeSHAP for trees; coefficient times distance from the mean for logistic regression,
        whose flags of missing values count with their feature.
        """
        x = matrix(frame, self.features)
        return self.churn.contributions(x) if len(x) else np.empty(x.shape)

    def save(self, folder: Path) -> Path:
        """Writes `model.json` and one file for each estimator into `folder`."""
        make_folder(folder)
        self.churn.save(folder / f"churn{self.churn.SUFFIX}")
        if self.value is not None:
            self.value.save(folder / f"value{self.value.SUFFIX}")
        write_json(folder / "model.json", self._summary())
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
        }

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Raises ModelError where `folder` holds no model or one of another version."""
        try:
            raw = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder}: holds no readable model ({error}); train again") from None
        found = {key: raw.get(key) for key in FORMAT}
        if found != FORMAT:
            raise ModelError(f"{folder}: holds {found}, this Holdfast reads {FORMAT}; train again")
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
        )

    def __str__(self) -> str:
        return f"{self.kind} as of {show(self.as_of)}, {len(self.features)} features"


def _load(folder: Path, name: str) -> Estimator:
    for estimator in ESTIMATORS:
        if (path := folder / f"{name}{estimator.SUFFIX}").exists():
            return estimator.load(path)
    raise ModelError(f"{folder}: lacks the {name} estimator; train again")
