"""Run by an interpreter that has the [gpu] extra: binds what k-means and HDBSCAN are given to the
real signatures of cuML's. Prints one JSON object."""

from __future__ import annotations

import importlib
import inspect
import json

import numpy as np

from training.groups_engines import ENGINES, METHODS, parameters


def signatures() -> dict[str, list[str]]:
    """The names that cuML's constructor takes, by method. Raises TypeError for one it does not."""
    found = {}
    for method in METHODS:
        module, name = ENGINES["gpu"][method]
        signature = inspect.signature(getattr(importlib.import_module(module), name))
        more = {"init": np.zeros((2, 3))} if method == "kmeans" else {}
        bound = signature.bind(**parameters(method, 8, "gpu"), **more)
        found[method] = sorted(bound.arguments)
    return found


def notices() -> bool:
    """Whether a name that cuML does not have is noticed."""
    module, name = ENGINES["gpu"]["hdbscan"]
    try:
        inspect.signature(getattr(importlib.import_module(module), name)).bind(copy=True)
    except TypeError:
        return True
    return False


if __name__ == "__main__":
    print(json.dumps({"bound": signatures(), "noticed": notices()}))
