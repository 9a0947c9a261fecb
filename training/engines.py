"""The estimators that exist on both engines, scikit-learn's on the CPU and cuML's on the GPU.

One closed table: what an estimator is called here, its parameters by one name for both, and in
`differs` what is not the same and how that is met. cuML is imported here alone, and only to make
an estimator for a GPU. Both engines get matrices without missing values: cuML's forests and linear
models take none, so medians and flags stand for them (`linear.Scaler`) on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runtime.device import Device
from runtime.errors import UsageError

Name = Literal["logistic", "forest", "regression_forest"]


@dataclass(frozen=True)
class Engine:
    """`parameters`: those that may be given, the same on both engines; `cpu_only`, `gpu_only`: what
    one engine is told besides; `renamed`: what cuML calls a parameter of another name."""

    cpu: Callable[[], Any]
    gpu: Callable[[], Any]
    parameters: tuple[str, ...]
    differs: str
    cpu_only: Mapping[str, Any] = field(default_factory=dict)
    gpu_only: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, device: Device, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the constructor of the device's engine is called with. Raises UsageError."""
        if unknown := sorted(set(given) - set(self.parameters)):
            raise UsageError(
                f"parameter '{unknown[0]}' is not one of both engines; "
                f"choose among {', '.join(self.parameters)}"
            )
        if device.kind == "cpu":
            return {**self.cpu_only, **given}
        return {**self.gpu_only, **{self.renamed.get(n, n): value for n, value in given.items()}}


def _sklearn_logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression


def _cuml_logistic() -> Any:
    from cuml.linear_model import LogisticRegression

    return LogisticRegression


def _sklearn_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier


def _cuml_forest() -> Any:
    from cuml.ensemble import RandomForestClassifier

    return RandomForestClassifier


def _sklearn_regression_forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor


def _cuml_regression_forest() -> Any:
    from cuml.ensemble import RandomForestRegressor

    return RandomForestRegressor


FOREST_PARAMETERS = (
    "n_estimators",
    "criterion",
    "max_depth",
    "min_samples_leaf",
    "max_features",
    "max_samples",
    "bootstrap",
    "random_state",
)
FOREST_DIFFERS = (
    "criterion is split_criterion on cuML. cuML looks for splits at 128 quantiles of a feature, "
    "scikit-learn at every value. Trees of one seed are the same on one engine, not across. "
    "cuML is repeatable on one stream only, so it gets one. max_samples is a share of the rows."
)
FOREST_GPU: dict[str, Any] = {"n_bins": 128, "n_streams": 1, "output_type": "numpy"}

ENGINES: dict[Name, Engine] = {
    "logistic": Engine(
        cpu=_sklearn_logistic,
        gpu=_cuml_logistic,
        parameters=("C", "max_iter", "tol"),
        differs=(
            "C weighs the sum of losses against half the squared norm on both. scikit-learn solves "
            "by Newton's method, cuML knows quasi-Newton alone and needs more iterations, so that "
            "max_iter is the caller's to choose. Both have two classes only here: labels 0 and 1, "
            "one row of coefficients, of class 1."
        ),
        cpu_only={"solver": "newton-cholesky"},
        gpu_only={"solver": "qn", "output_type": "numpy"},
    ),
    "forest": Engine(
        cpu=_sklearn_forest,
        gpu=_cuml_forest,
        parameters=FOREST_PARAMETERS,
        differs=f"{FOREST_DIFFERS} Classes are 0 and 1; a leaf holds their shares on both.",
        gpu_only=FOREST_GPU,
        renamed={"criterion": "split_criterion"},
    ),
    "regression_forest": Engine(
        cpu=_sklearn_regression_forest,
        gpu=_cuml_regression_forest,
        parameters=FOREST_PARAMETERS,
        differs=f"{FOREST_DIFFERS} criterion 'poisson' is half the Poisson deviance on both.",
        gpu_only=FOREST_GPU,
        renamed={"criterion": "split_criterion"},
    ),
}


def make(name: Name, device: Device, **parameters: Any) -> Any:
    """The estimator for a device, not fitted. Raises UsageError for a parameter that only one
    engine knows."""
    engine = ENGINES[name]
    arguments = engine.arguments(device, parameters)
    return (engine.cpu if device.kind == "cpu" else engine.gpu)()(**arguments)
