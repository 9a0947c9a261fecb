"""Every command on a small project: its JSON, its exit code, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_project import small_log, write_small_project

HEAVY = (
    "torch",
    "mlflow",
    "xgboost",
    "sklearn",
    "plotly",
    "cudf",
    "cuml",
    "cupy",
    "dask",
    "optuna",
)
WRAPPER = """
import json, sys
from holdfast.cli import run
code = max(run(call) for call in json.loads(sys.argv[1]))
heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
sys.stderr.write("\\n" + json.dumps({"heavy": heavy}))
sys.exit(code)
"""


def _run(*arguments: str) -> tuple[int, str, str, set[str]]:
    return _run_all(arguments)


def _run_all(*calls: tuple[str, ...]) -> tuple[int, str, str, set[str]]:
    """One after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-c", WRAPPER, json.dumps(calls), json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, last = done.stderr.splitlines()
    assert last.startswith('{"heavy"'), done.stderr
    return done.returncode, done.stdout, "\n".join(lines), set(json.loads(last)["heavy"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project on which ingest, train, score and export are run, as JSON says."""
    return write_small_project(tmp_path_factory.mktemp("cli"), small_log(200))


def _json(config: Path, *arguments: str) -> tuple[dict[str, Any], set[str]]:
    code, out, err, heavy = _run(*arguments, "-c", str(config), "--json")
    assert code == 0, err
    assert out.count("\n") == 1, "exactly one JSON object"
    return json.loads(out), heavy


@pytest.fixture(scope="module")
def path_taken(project: Path) -> dict[str, tuple[dict[str, Any], set[str]]]:
    taken = {}
    taken["ingest"] = _json(project, "ingest")
    taken["again"] = _json(project, "ingest")
    taken["snapshot"] = _json(project, "snapshot")
    taken["train"] = _json(project, "train", "--model", "logistic")
    taken["score"] = _json(project, "score")
    taken["export"] = _json(project, "export", "--format", "csv")
    return taken


def test_ingest_says_what_it_did(path_taken: dict[str, Any]) -> None:
    first, heavy = path_taken["ingest"]
    again, _ = path_taken["again"]
    assert first["rows_read"] == first["rows_added"] > 1000
    assert (first["duplicates"], first["quarantined"], first["users"]) == (0, 0, 200)
    assert again["rows_added"] == 0
    assert again["version"] == first["version"]
    assert heavy == set()


def test_snapshot_says_what_it_did(path_taken: dict[str, Any]) -> None:
    result, heavy = path_taken["snapshot"]
    assert Path(result["table"]).is_dir()
    assert result["rows"] > 0
    assert result["features"] >= 60
    assert len(result["cutoffs"]) == 1
    assert heavy == set()


def test_train_says_what_it_did(path_taken: dict[str, Any]) -> None:
    result, heavy = path_taken["train"]
    assert {"run_id", "model", "as_of", "metrics", "seconds"} <= set(result)
    assert result["model"] == "logistic"
    assert all(isinstance(v, float | int) or v is None for v in result["metrics"].values())
    assert result["metrics"]["churn_roc_auc"] > 0.6
    assert not heavy & {"cudf", "cuml", "cupy", "dask", "optuna", "torch"}


def test_score_says_what_it_did(path_taken: dict[str, Any]) -> None:
    result, heavy = path_taken["score"]
    assert {"table", "rows", "as_of", "model_run_id"} <= set(result)
    assert result["model_run_id"] == path_taken["train"][0]["run_id"]
    assert not heavy & {"cudf", "cuml", "cupy", "dask", "optuna", "plotly"}


def test_export_says_what_it_did(path_taken: dict[str, Any]) -> None:
    result, heavy = path_taken["export"]
    assert result["rows"] == path_taken["score"][0]["rows"]
    table = pl.read_csv(result["files"][0], schema_overrides={"user_id": pl.String})
    assert table.height == result["rows"]
    assert table["user_id"].str.len_chars().unique().to_list() == [5]
    assert json.loads(Path(result["manifest"]).read_text())["rows"] == result["rows"]
    assert heavy == set()


@pytest.mark.parametrize(
    ("calls", "allowed"),
    [
        (
            {
                "findings": ("quality",),
                "overall": ("retention",),
                "rows": ("lifecycle",),
                "steps": ("funnel", "view", "purchase"),
            },
            set(),
        ),
        (
            {
                "runs": ("runs",),
                "metrics": ("compare", "champion"),
                "run_id": ("promote", "champion"),
            },
            {"mlflow", "sklearn"},
        ),
    ],
    ids=["of the log", "of the models"],
)
@pytest.mark.usefixtures("path_taken")
def test_the_other_commands(
    project: Path, calls: dict[str, tuple[str, ...]], allowed: set[str]
) -> None:
    """By a key that the JSON of each must have."""
    told = ("-c", str(project), "--json")
    code, out, err, heavy = _run_all(*((*call, *told) for call in calls.values()))
    assert code == 0, err
    for key, line in zip(calls, out.splitlines(), strict=True):
        assert key in json.loads(line)
    assert heavy <= allowed


def test_help_loads_nothing_heavy() -> None:
    code, out, _, heavy = _run("--help")
    assert code == 0
    assert heavy == set()
    for command in ("init", "ingest", "train", "score", "export", "demo"):
        assert command in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope",), "nope"),
        (("train", "--bogus"), "--bogus"),
        (("train", "--device", "tpu"), "'tpu'"),
        (("train", "-c", "missing.toml"), "missing.toml: no such file"),
        (("promote",), "run"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(arguments: tuple[str, ...], words: str) -> None:
    code, out, err, _ = _run(*arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_wrong_call_with_json_is_still_one_object() -> None:
    code, out, _, _ = _run("train", "-c", "missing.toml", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "SettingsError"


def test_every_command_is_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    _, out, _, _ = _run("--help")
    commands = [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()]
    assert len(commands) >= 12
    for command in commands:
        assert f"holdfast {command}" in readme
