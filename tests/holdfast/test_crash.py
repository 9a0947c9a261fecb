"""Ingest, snapshot, score and export killed at random moments and run again leave what an
undisturbed run leaves."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from killing import killed, undisturbed
from small_project import write_small_project

from holdfast.cli import run

MOMENTS = 20
IN_THE_SUITE = 1

# The stages in the order of the data's flow; each is killed on the state the one before leaves.
STAGES: dict[str, tuple[str, ...]] = {
    "ingest": ("ingest",),
    "snapshot": ("snapshot", "--cutoff", "2024-06-01", "--cutoff", "2024-07-01"),
    "score": ("score", "--as-of", "2024-08-01"),
    "export": ("export", "--format", "csv"),
}
BEFORE: dict[str, tuple[tuple[str, ...], ...]] = {
    "ingest": (),
    "snapshot": (STAGES["ingest"],),
    "score": (STAGES["ingest"], ("train", "--as-of", "2024-08-01", "--model", "logistic")),
    "export": (
        STAGES["ingest"],
        ("train", "--as-of", "2024-08-01", "--model", "logistic"),
        STAGES["score"],
    ),
}


def _table(path: Path) -> list[dict[str, object]]:
    frame = pl.DataFrame(pl.from_arrow(DeltaTable(str(path)).to_pyarrow_table()))
    return frame.sort(frame.columns).to_dicts()


def _events(folder: Path) -> object:
    quarantine = folder / "store" / "quarantine"
    held = _table(quarantine) if DeltaTable.is_deltatable(str(quarantine)) else []
    return _table(folder / "store" / "events"), held


def _snapshots(folder: Path) -> object:
    # A run that is killed may leave a complete table or none, never half of one.
    return {
        path.name: _table(path)
        for path in sorted((folder / "store" / "snapshots").iterdir())
        if DeltaTable.is_deltatable(str(path))
    }


def _scores(folder: Path) -> object:
    return _table(folder / "store" / "scores")


def _exports(folder: Path) -> object:
    files = sorted((folder / "exports").iterdir())
    return {path.name: path.read_bytes() for path in files}


LEFT: dict[str, Callable[[Path], object]] = {
    "ingest": _events,
    "snapshot": _snapshots,
    "score": _scores,
    "export": _exports,
}


class Ready:
    """A folder in the state before each stage, and what the stage leaves when undisturbed."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.known: dict[str, tuple[Path, object, float]] = {}

    def stage(self, name: str) -> tuple[Path, object, float]:
        if name not in self.known:
            before = self.base / f"before-{name}"
            config = write_small_project(before, files=3)
            for arguments in BEFORE[name]:
                assert run([*arguments, "-c", str(config)]) == 0
            whole = self.base / f"whole-{name}"
            shutil.copytree(before, whole)
            seconds = undisturbed(*STAGES[name], "-c", str(whole / "holdfast.toml"))
            self.known[name] = (before, LEFT[name](whole), seconds)
        return self.known[name]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    return Ready(tmp_path_factory.mktemp("crash"))


def _moments() -> list[object]:
    return [
        pytest.param(n, marks=() if n < IN_THE_SUITE else pytest.mark.slow) for n in range(MOMENTS)
    ]


@pytest.mark.parametrize("moment", _moments())
# A score that is killed is tested in this process too, at every moment: tests/serving.
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "score" else ()) for n in STAGES]
)
def test_killed_and_run_again(ready: Ready, tmp_path: Path, name: str, moment: int) -> None:
    before, expected, seconds = ready.stage(name)
    folder = tmp_path / "project"
    shutil.copytree(before, folder)
    arguments = (*STAGES[name], "-c", str(folder / "holdfast.toml"))
    # One random moment from each twentieth of the run; those of the suite lie far apart.
    slice_ = moment * 7 % MOMENTS
    share = (slice_ + random.Random(f"{name}{moment}").random()) / MOMENTS
    killed(seconds * share, *arguments)
    undisturbed(*arguments)
    assert LEFT[name](folder) == expected, json.dumps({"killed after": seconds * share})
    leftovers = [p.name for p in folder.rglob("*.draft")] + [
        p.name for p in (folder / "store" / ".staging").glob("*")
    ]
    assert leftovers == []
