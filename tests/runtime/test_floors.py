"""The house stands: floors import only downward, and each library has one doorway."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("runtime", "events", "features", "retention", "training", "serving", "report", "holdfast")
MODULES = sorted(p for floor in FLOORS for p in (ROOT / floor).rglob("*.py"))
DOORWAYS = {
    "deltalake": {"runtime/delta.py"},
    "mlflow": {"training/tracking.py"},
    "optuna": {"training/studies.py"},
    "cudf": set(),
    "cudf_polars": set(),
    "cuml": {"training/engines.py", "training/groups_engines.py"},
    "cupy": set(),
    "cloudpickle": {"runtime/handout.py"},
    "dask": {"runtime/cluster.py"},
    "dask_cuda": {"runtime/cluster.py"},
    "distributed": {"runtime/cluster.py"},
}
LONGEST_FUNCTION = 60
LONGEST_MODULE = 300


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{_name(path)}:{node.lineno} imports relatively; use the full name")
    return found


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_floor_imports_only_floors_below_it(path: Path) -> None:
    own = FLOORS.index(path.relative_to(ROOT).parts[0])
    above = {m for m in _imports(path) if m.split(".")[0] in FLOORS[own + 1 :]}
    assert not above, f"{_name(path)} imports upward: {sorted(above)}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_each_library_is_spoken_to_through_its_doorway(path: Path) -> None:
    for module in _imports(path):
        library = module.split(".")[0]
        if library in DOORWAYS:
            assert _name(path) in DOORWAYS[library], f"{_name(path)} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_plans_are_collected_in_one_place(path: Path) -> None:
    if _name(path) == "runtime/collect.py":
        return
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("collect", "collect_all")
    ]
    assert not calls, f"{_name(path)} collects a plan at lines {calls}; use runtime.collect"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{_name(path)}:{node.lineno} has {length} lines"


def test_no_import_circles() -> None:
    graph = {
        _name(p)[:-3].replace("/", ".").removesuffix(".__init__"): _imports(p) for p in MODULES
    }

    own = {module: set(found) & set(graph) - {module} for module, found in graph.items()}
    TopologicalSorter(own).prepare()  # raises CycleError, which names the circle


def test_no_other_distribution_claims_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for floor in FLOORS:
        assert set(owners.get(floor, ["holdfast"])) == {"holdfast"}


def test_importing_the_packages_loads_no_heavy_library() -> None:
    modules = [_name(p)[:-3].replace("/", ".").removesuffix(".__init__") for p in MODULES]
    light = [m for m in modules if not m.startswith(("training", "serving"))]
    heavy = ("torch", "mlflow", "xgboost", "sklearn", "cudf", "cuml", "cupy", "plotly", "optuna")
    heavy += ("dask", "distributed", "dask_cuda")
    code = (
        f"import importlib, sys\nfor m in {light!r}: importlib.import_module(m)\n"
        f"print([h for h in {heavy!r} if h in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
