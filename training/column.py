"""What a sequence model says, as columns beside the features, and the estimator that reads one.

A model that has a sequence model in it reads its features and these two columns last; parts that
know nothing of sequences read the features alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from runtime.files import write_json
from training.metrics import Floats
from training.rows import Matrix

SEQUENCE_CHURN, SEQUENCE_VALUE = "sequence_churn", "sequence_value"
BESIDE = (SEQUENCE_CHURN, SEQUENCE_VALUE)


@dataclass(frozen=True)
class Column:
    """`at`: the place among BESIDE."""

    at: int

    SUFFIX: ClassVar[str] = ".column.json"

    def margin(self, x: Matrix) -> Floats:
        """The column as it is, shape (n,)."""
        return x[:, self.at - len(BESIDE)].astype(np.float64)

    def contributions(self, x: Matrix) -> Floats:
        """None of the features moves it: zeros, shape (n, features)."""
        return np.zeros(x.shape)

    def save(self, path: Path) -> None:
        write_json(path, {"column": BESIDE[self.at]})

    @classmethod
    def load(cls, path: Path) -> Column:
        return cls(BESIDE.index(json.loads(path.read_text(encoding="utf-8"))["column"]))


def without(x: Matrix) -> Matrix:
    """The features alone."""
    return x[:, : x.shape[1] - len(BESIDE)]
