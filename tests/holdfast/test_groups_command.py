"""`holdfast groups`: one JSON object, tables for people, a file with ids and no ids elsewhere."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import calling
import polars as pl
import pytest
from groups_planted import planted_log, write_planted

from events.ingest import ingest
from runtime.settings import load_settings

USERS = 80


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = write_planted(tmp_path_factory.mktemp("groups") / "p", planted_log(USERS))
    ingest(load_settings(config))
    return config


called = partial(calling.called, "groups")
as_json = partial(calling.as_json, "groups")


def test_json_tells_groups_and_whether_they_hold(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, project)
    assert found["users"] == USERS
    assert sum(group["users"] for group in found["groups"]) == USERS
    assert {"name", "core", "reason", "share", "value_share", "churn", "telling"} <= set(
        found["groups"][0]
    )
    assert len(found["over_time"]) >= 2
    assert found["movement"][0]["rows"]
    assert found["chosen"]["groups"] == len(found["groups"])
    assert as_json(capsys, project)["groups"] == found["groups"]


def test_tables_name_the_groups_and_no_user(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, kept = tmp_path / "groups.parquet", tmp_path / "kept.json"
    code, shown, said = called(capsys, project, "--out", str(out), "--save", str(kept))
    assert code == 0, said
    for title in ("Groups as of", "Typical values", "over time", "Who moved where", "Found anew"):
        assert title in shown
    table = pl.read_parquet(out)
    assert table.height == USERS
    assert not any(user in shown + said for user in table["user_id"])
    assert not any(user in kept.read_text() for user in table["user_id"])
    names = {group["name"] for group in as_json(capsys, project)["groups"]}
    assert set(table["name"]) == names


def test_the_other_method_and_a_number(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, project, "--method", "hdbscan")["method"] == "hdbscan"
    assert len(as_json(capsys, project, "--groups", "2")["groups"]) == 2
    earlier = as_json(capsys, project, "--as-of", "2024-07-01")
    assert earlier["as_of"] == "2024-07-01"
    assert all(moment["as of"] <= "2024-07-01" for moment in earlier["over_time"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--groups", "1"), "choose 2 to 8"),
        (("--groups", "3", "--method", "hdbscan"), "finds the number itself"),
        (("--method", "dbscan"), "dbscan"),
        (("--out", "groups.xlsx"), ".parquet, .csv"),
        (("--use", "none.json"), "no readable groups"),
        (("--as-of", "2023-01-01"), "no event"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = called(capsys, project, *arguments)
    assert code == 2
    assert out == ""
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


def test_it_loads_no_library_it_does_not_need(project: Path) -> None:
    code = (
        "import sys; from holdfast.cli import run; "
        f"code = run(['groups', '-c', {str(project)!r}, '--json']); "
        "heavy = ('torch', 'mlflow', 'xgboost', 'plotly', 'cudf', 'cuml', 'cupy', 'dask'); "
        "sys.stderr.write(str([h for h in heavy if h in sys.modules])); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.endswith("[]"), done.stderr
