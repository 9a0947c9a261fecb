"""What must not matter does not: buckets, the order of rows and files, threads, the future."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_project import AS_OF, another_future, cut, small_log, write_small_project

from events.ingest import ingest
from features.snapshots import read, snapshot
from runtime.device import decide
from runtime.settings import load_settings
from runtime.tables import open_table
from serving.formats import NUMBERS
from serving.score import SCORES, score
from training.recipe import train

CPU = decide("cpu")
CUTOFFS = [datetime(2024, 6, 1, tzinfo=UTC), AS_OF]
Base = tuple[Path, pl.DataFrame, pl.DataFrame, str]


def _snapshots(config: Path) -> pl.DataFrame:
    settings = load_settings(config)
    taken = snapshot(settings, CUTOFFS, None, CPU)
    return read(taken, taken.cutoffs).drop("bucket", strict=False)


def _scores(config: Path) -> pl.DataFrame:
    settings = load_settings(config)
    table = open_table(score(settings, AS_OF, None, CPU).table, SCORES)
    frame = table.scan().select("user_id", *NUMBERS, "reason_1")
    return frame.collect().sort("user_id")


@pytest.fixture(scope="module")
def base(quick_models: None, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A trained project as of AS_OF on the whole log, its snapshots, scores and metrics."""
    config = write_small_project(tmp_path_factory.mktemp("base"))
    settings = load_settings(config)
    ingest(settings)
    metrics = json.dumps(train(settings, AS_OF, "xgboost", CPU).metrics)
    return config, _snapshots(config), _scores(config), metrics


def _other(folder: Path, base: Path, log: pl.DataFrame, files: int, buckets: int) -> Path:
    """The same project laid out in another way, with the base's models."""
    config = write_small_project(folder, log, files, buckets)
    tracking = f'[project]\ntracking = "{base.parent / "mlruns"}"'
    config.write_text(config.read_text().replace("[project]", tracking))
    ingest(load_settings(config))
    return config


@pytest.mark.parametrize(
    ("files", "buckets", "shuffled"),
    [
        (3, 4, False),
        (5, 16, True),
        pytest.param(1, 1, False, marks=pytest.mark.slow),
        pytest.param(2, 7, True, marks=pytest.mark.slow),
    ],
)
def test_layout_does_not_matter(
    base: Base,
    tmp_path: Path,
    files: int,
    buckets: int,
    shuffled: bool,
) -> None:
    log = small_log()
    if shuffled:
        log = log.sample(fraction=1.0, shuffle=True, seed=files)
    config = _other(tmp_path / "p", base[0], log, files, buckets)
    assert_frame_equal(_snapshots(config), base[1], rel_tol=0, abs_tol=1e-9)
    assert_frame_equal(_scores(config), base[2], rel_tol=0, abs_tol=1e-6)


@pytest.mark.slow
def test_threads_do_not_matter(base: Base, tmp_path: Path) -> None:
    config = _other(tmp_path / "p", base[0], small_log(), 2, 4)
    code = (
        "import sys; from holdfast.cli import run; "
        "codes = [run(a.split()) for a in sys.argv[1:]]; sys.exit(max(codes))"
    )
    cutoffs = " ".join(f"--cutoff {c.date()}" for c in CUTOFFS)
    for threads in ("1", "2"):
        calls = [f"snapshot {cutoffs} -c {config}", f"score --as-of {AS_OF.date()} -c {config}"]
        limits = {"POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", code, *calls],
            check=True,
            capture_output=True,
            env=os.environ | limits,
        )
        assert_frame_equal(_snapshots(config), base[1], rel_tol=0, abs_tol=1e-9)
        assert_frame_equal(_scores(config), base[2], rel_tol=0, abs_tol=1e-6)


@pytest.mark.parametrize("future", [cut, another_future])
def test_the_future_does_not_matter(
    base: Base,
    tmp_path: Path,
    future: object,
) -> None:
    """`train --as-of T` and `score --as-of T` see nothing at or after T."""
    assert callable(future)
    config = write_small_project(tmp_path / "p", future(small_log()), 2)
    settings = load_settings(config)
    ingest(settings)
    result = train(settings, AS_OF, "xgboost", CPU)
    assert_frame_equal(_scores(config), base[2], rel_tol=0, abs_tol=1e-9)
    assert json.dumps(result.metrics) == base[3]


def test_the_small_log_has_a_future() -> None:
    log = small_log()
    assert log.height - cut(log).height > 200
    assert log["when"].max() > AS_OF + timedelta(days=20)
