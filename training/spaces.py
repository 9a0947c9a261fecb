"""The settings that are searched for each kind of model, and the specs that they stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from runtime.errors import ModelError, UsageError
from runtime.files import write_json
from training.forest import ForestSpec, Shape
from training.kinds import Pair, PlainSpec, plain_spec
from training.linear import LogisticSpec
from training.trees import XGBoostSpec

Target = Literal["churn", "value"]
Params = Mapping[str, float]  # whole numbers where the range is of whole numbers

TARGETS: tuple[Target, ...] = ("churn", "value")
PLAIN = ("eta", "min_child_weight", "subsample", "columns", "l2")  # of XGBoost, as they are
VERSION = 2  # of the ranges and of what a setting means; another one is another search


@dataclass(frozen=True)
class Range:
    """Both ends are inside. `log`: searched by the logarithm."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.whole and value != int(value))


# Each holds what its kind settles on by default, so that the default is one of the trials.
SPACES: dict[str, dict[str, Range]] = {
    "xgboost": {
        "depth": Range(1, 8, whole=True),
        "eta": Range(0.02, 0.3, log=True),
        "min_child_weight": Range(1.0, 100.0, log=True),
        "subsample": Range(0.5, 1.0),
        "columns": Range(0.2, 1.0),
        "l2": Range(0.1, 50.0, log=True),
        "bins": Range(32, 512, log=True, whole=True),
    },
    "forest": {
        "leaf": Range(1, 200, log=True, whole=True),
        "columns": Range(0.05, 1.0, log=True),
        "depth": Range(4, 16, whole=True),
    },
    "logistic": {"strength": Range(1e-5, 3.0, log=True)},
}


def space_of(kind: str) -> dict[str, Range]:
    """Raises UsageError for a kind that is not known."""
    plain_spec(kind, 0)
    return SPACES[kind]


def spec_with(kind: str, target: Target, params: Params, seed: int) -> PlainSpec:
    """The default spec with these settings of one target. The number of trees of XGBoost is still
    chosen by the fit, on users left out. Raises UsageError for settings that cannot be meant."""
    require_inside(kind, target, params)
    changed: dict[str, Any]
    spec = plain_spec(kind, seed)
    if isinstance(spec, LogisticSpec):
        changed = {f"{target}_strength": params["strength"]}
    elif isinstance(spec, ForestSpec):
        shape = Shape(int(params["leaf"]), params["columns"])
        changed = {target: shape, "depth": int(params["depth"])}
    else:
        # As many small steps as go as far as the default's.
        rounds = math.ceil(spec.most_rounds * spec.eta / params["eta"])
        changed = {name: params[name] for name in PLAIN} | {
            "depths": (int(params["depth"]),),
            # Each part may still find one of the default's: what the default finds is a trial.
            "part_depths": tuple(sorted({*spec.part_depths, int(params["depth"])})),
            "bins": int(params["bins"]),
            "most_rounds": max(spec.most_rounds, rounds),
        }
    return replace(spec, **changed)


def params_of(spec: PlainSpec, target: Target) -> dict[str, float]:
    """The settings of a spec that a fit has settled: what `spec_with` takes."""
    found: Any = getattr(spec, target, None)
    if isinstance(spec, LogisticSpec):
        return {"strength": getattr(spec, f"{target}_strength")}
    if isinstance(spec, ForestSpec):
        return {"leaf": found.leaf, "columns": found.columns, "depth": spec.depth}
    rest = {name: getattr(spec, name) for name in (*PLAIN, "bins")}
    return {"depth": found.depth, **rest}


def rounds_of(spec: PlainSpec, target: Target) -> int | None:
    """The number of trees that a fit has settled on, where it is one."""
    size = getattr(spec, target) if isinstance(spec, XGBoostSpec) else None
    return size.rounds if size else None


def pair_of(kind: str, found: Mapping[Target, Params], seed: int) -> Pair:
    """The spec of both; the default of a target that has no settings here."""
    churn, value = (
        spec_with(kind, target, found[target], seed) if target in found else plain_spec(kind, seed)
        for target in TARGETS
    )
    return Pair(churn, value)


def require_inside(kind: str, target: Target, params: Params) -> None:
    """Raises UsageError naming a setting that is missing, not known or out of its range."""
    space = space_of(kind)
    if set(params) != set(space):
        raise UsageError(
            f"{kind} {target}: settings {', '.join(sorted(params)) or 'none'}; give "
            f"{', '.join(sorted(space))}"
        )
    for name, value in params.items():
        if not space[name].holds(value):
            raise UsageError(
                f"{kind} {target}: {name} {value}; give {space[name].low:g} to {space[name].high:g}"
                + (", whole" if space[name].whole else "")
            )


def tuned_spec(path: Path, kind: str | None, seed: int) -> tuple[str, Pair]:
    """The kind of model and the spec of a file of `write_winner`'s. Raises ModelError where it
    holds none, UsageError where it is of another kind than is asked for."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        found, settings = (
            str(raw["model"]),
            {t: dict(raw["settings"][t]) for t in TARGETS if t in raw["settings"]},
        )
        pair = pair_of(found, settings, seed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        named = f"{type(error).__name__}: {error}"
        why = error.strerror if isinstance(error, OSError) else named
        raise ModelError(
            f"{path}: holds no settings ({why}); give the file that 'holdfast tune' names"
        ) from None
    if kind not in (None, found):
        raise UsageError(f"--model {kind}: {path} is of {found}; leave one of the two out")
    return found, pair


def write_winner(path: Path, kind: str, settings: Mapping[Target, Params]) -> Path:
    return write_json(path, {"model": kind, "settings": settings})
