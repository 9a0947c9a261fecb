"""Run by an interpreter that has the [gpu] extra: binds what we call cuML with to its signatures.

Also takes a forest the way one of cuML comes to us, through Treelite to scikit-learn's shape, which
needs no device. Prints one JSON object.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

os.environ["RAPIDS_NO_INITIALIZE"] = "1"  # before cuML is imported: there may be no device

import numpy as np

from runtime.device import Device
from training.engines import ENGINES, Engine
from training.forest import imputed
from training.forest_trees import booster_of
from training.linear import fit_scaler

GPU = Device("gpu", "a test")


def unbound(engine: Engine, more: Mapping[str, Any]) -> str:
    """What cuML's constructor says against our arguments; nothing where it takes them."""
    arguments = {**engine.arguments(GPU, dict.fromkeys(engine.parameters)), **more}
    try:
        inspect.signature(engine.gpu()).bind(**arguments)
    except TypeError as error:
        return str(error)
    return ""


def through_treelite() -> float:
    """Greatest difference of a forest's own shares and ours after the way through Treelite."""
    import treelite
    import xgboost
    from sklearn.ensemble import RandomForestClassifier

    random = np.random.default_rng(0)
    x = random.normal(size=(500, 4)).astype(np.float32)
    y = (x[:, 0] + random.normal(size=500) > 0).astype(np.int32)
    x[random.random(500) < 0.3, 1] = np.nan
    scaler = fit_scaler(x)
    forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    forest.fit(imputed(scaler, x), y)
    back = treelite.sklearn.export_model(treelite.sklearn.import_model(forest))
    booster = booster_of([one.tree_ for one in back.estimators_], scaler, 4)
    ours = booster.predict(xgboost.DMatrix(x))
    return float(np.abs(ours - forest.predict_proba(imputed(scaler, x))[:, 1]).max())


def main() -> None:
    found = {name: unbound(engine, {}) for name, engine in ENGINES.items()}
    result = {
        "engines": len(found),
        "failed": {name: error for name, error in found.items() if error},
        "noticed": all(unbound(engine, {"depth_of_sea": 1}) for engine in ENGINES.values()),
        "exports": all(hasattr(engine.gpu(), "as_sklearn") for engine in ENGINES.values()),
        "apart": through_treelite(),
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
