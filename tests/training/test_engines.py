"""One table for two engines: our arguments are what scikit-learn's and cuML's constructors take."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from gpu_python import ROOT, translated

from runtime.device import Device
from runtime.errors import UsageError
from training.engines import ENGINES, Name, make

CPU, GPU = Device("cpu", "a test"), Device("gpu", "a test")


@pytest.mark.parametrize("name", ENGINES)
def test_scikit_learn_takes_every_parameter(name: Name) -> None:
    engine = ENGINES[name]
    known = inspect.signature(engine.cpu()).parameters
    arguments = engine.arguments(CPU, dict.fromkeys(engine.parameters))
    assert set(arguments) <= set(known)
    assert set(arguments) >= set(engine.parameters)


@pytest.mark.gpu_plans
def test_cuml_takes_every_parameter_and_its_forests_become_ours() -> None:
    found = translated("engines_signatures.py")
    assert found["noticed"], "the check does not notice a parameter that cuML lacks"
    assert found["failed"] == {}
    assert found["engines"] == len(ENGINES)
    assert found["exports"]
    assert found["apart"] < 1e-6


def test_both_engines_are_told_the_same_by_their_own_names() -> None:
    for engine in ENGINES.values():
        given = {name: object() for name in engine.parameters}
        told = engine.arguments(GPU, given)
        for name, value in given.items():
            assert told[engine.renamed.get(name, name)] is value
            assert engine.arguments(CPU, given)[name] is value


def test_a_parameter_of_one_engine_only_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"parameter 'n_streams' is not one of both engines; .*C, "
    ):
        make("logistic", CPU, n_streams=1)


def test_what_is_made_has_what_was_asked() -> None:
    forest = make("forest", CPU, n_estimators=7, max_depth=3)
    assert (forest.n_estimators, forest.max_depth) == (7, 3)
    assert make("logistic", CPU, C=0.5).solver == "newton-cholesky"


def test_cuml_is_not_looked_for_on_a_cpu() -> None:
    code = (
        "import sys; from training.engines import make; from runtime.device import Device\n"
        "make('forest', Device('cpu', '')); print('cuml' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"
