"""The loader that MLflow calls for a logged model: `loader_module = training.pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from training.model import Model

if TYPE_CHECKING:
    import pandas as pd


class Served:
    """A Model as MLflow wants it: pandas in, pandas out."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """PREDICTED of `training.model`, a row for each of the frame of features."""
        predicted = self.model.predict(pl.from_pandas(model_input)).to_pandas()
        return predicted.set_index(model_input.index)


def _load_pyfunc(data_path: str) -> Served:
    return Served(Model.load(Path(data_path)))
