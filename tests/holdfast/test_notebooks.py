"""Every notebook runs from its first cell to its last, and only imports what it uses."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LARGE, SMALL = "World(users=5000,", "World(users=250,"
FEW_TREES = """
from functools import partial
from training import kinds
from training.trees import XGBoostSpec
few = partial(XGBoostSpec, depths=(2,), part_depths=(2,), most_rounds=100, bags=2)
kinds.PLAIN["xgboost"] = lambda seed: few(seed=seed)
"""
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert sum(LARGE in cell.source for cell in notebook.cells) == 1
    for cell in notebook.cells:  # a smaller world runs as a large one does, in less time
        cell.source = cell.source.replace(LARGE, SMALL)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FEW_TREES))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebook_defines_nothing(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            assert not any(isinstance(node, kinds) for node in ast.walk(tree)), cell.source
