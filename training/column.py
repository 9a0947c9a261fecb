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
from training.trees import Trees

SEQUENCE_CHURN, SEQUENCE_VALUE = "sequence_churn", "sequence_value"
BESIDE = (SEQUENCE_CHURN, SEQUENCE_VALUE)
CHURN, VALUE = 0, 1  # places among them


@dataclass(frozen=True)
class Column:
    """`at`: the place among BESIDE; `stand_in`: trees over the features that explain it."""

    at: int
    stand_in: Trees | None = None

    SUFFIX: ClassVar[str] = ".column.json"

    def margin(self, x: Matrix) -> Floats:
        """The column as it is, shape (n,)."""
        return x[:, self.at - len(BESIDE)].astype(np.float64)

    def contributions(self, x: Matrix) -> Floats:
        """The stand-in's, shape (n, features), of rows of features alone; without one zeros."""
        return self.stand_in.contributions(x) if self.stand_in else np.zeros(x.shape)

    def save(self, path: Path) -> None:
        if self.stand_in:
            self.stand_in.save(_beside(path))
        write_json(path, {"column": BESIDE[self.at], "stand_in": self.stand_in is not None})

    @classmethod
    def load(cls, path: Path) -> Column:
        raw = json.loads(path.read_text(encoding="utf-8"))
        stand_in = Trees.load(_beside(path)) if raw["stand_in"] else None
        return cls(BESIDE.index(raw["column"]), stand_in)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix(Column.SUFFIX)}.stand_in{Trees.SUFFIX}")


def without(x: Matrix) -> Matrix:
    """The features alone."""
    return x[:, : x.shape[1] - len(BESIDE)]
