"""`holdfast paths`: what it prints, what it writes, and the one line for a call that is wrong."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from holdfast.cli import run

START = datetime(2024, 4, 1, 9, tzinfo=UTC)
TOML = """
[[source]]
name = "log"
path = "log.csv"
columns = {{ user_id = "user", ts = "time", event = "what" }}
[churn]
horizon_days = 10
[paths]
least_users = 5
{more}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths")
    names = ("view", "cart", "buy", "help")
    rows = ["user,time,what"]
    for user in range(60):
        for day in range(0, 40 if user % 2 else 26, 3):
            for n in range(1 + user % 3):
                at = START + timedelta(days=day, minutes=10 * n)
                rows.append(f"u{user},{at:%Y-%m-%dT%H:%M:%SZ},{names[(user + n) % 4]}")
    (folder / "log.csv").write_text("\n".join(rows) + "\n")
    (folder / "holdfast.toml").write_text(TOML.format(more=""))
    assert run(["ingest", "-c", str(folder / "holdfast.toml")]) == 0
    return folder


def call(project: Path, *arguments: str) -> int:
    return run(["paths", "-c", str(project / "holdfast.toml"), "--device", "cpu", *arguments])


def told(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert call(project, *arguments, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found: dict = json.loads(line)
    return found


def test_one_path_of_one_user_is_said_so(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("holdfast.toml", "log.csv"):
        (tmp_path / name).write_bytes((project / name).read_bytes())
    lines = (tmp_path / "log.csv").read_text().splitlines(keepends=True)
    (tmp_path / "log.csv").write_text("".join(lines[:2]))
    assert run(["ingest", "-c", str(tmp_path / "holdfast.toml")]) == 0
    assert call(tmp_path) == 0
    assert capsys.readouterr().out.endswith("\n1 path of 1 kind, by 1 user\n")
    assert call(project) == 0
    assert re.search(r"\n[\d,]+ paths of \d+ kinds, by 60 users\n$", capsys.readouterr().out)


def test_what_users_do_next(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(project, capsys, "--from", "view", "--steps", "2", "--top", "2")
    assert (found["per"], found["origin"], found["event"]) == ("session", "from", "view")
    assert found["count"] == sum(row["count"] for row in found["paths"]) > 0
    assert {row["step"] for row in found["transitions"]} <= {1, 2}
    assert call(project) == 0
    assert "(end of session)" in capsys.readouterr().out


def test_the_users_of_a_figure_are_listed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(project, capsys)
    top = found["paths"][0]
    file = tmp_path / "users.csv"
    way = told(project, capsys, "--path", top["path"], "--users", str(file))
    assert (way["count"], way["users"]) == (top["count"], top["users"])
    assert pl.read_csv(file).height == top["users"]
    assert [p.name for p in tmp_path.iterdir()] == ["users.csv"]
    first = found["transitions"][0]
    text = f"{first['from']} > {first['to']}"
    way = told(project, capsys, "--transition", text, "--at", str(first["step"]))
    assert (way["count"], way["users"]) == (first["count"], first["users"])
    assert call(project, "--path", top["path"]) == 0


def test_paths_before_churn(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(project, capsys, "--before", "churn", "--days", "20")
    assert (found["users"], found["churned"]) == (60, 30)
    assert found["before_days"] == 20
    assert "association" in found["note"]
    assert call(project, "--before", "churn", "--whole") == 0
    assert "association" in capsys.readouterr().out


def test_the_users_before_churn_are_listed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(project, capsys, "--before", "churn")
    row, file = found["rows"][0], tmp_path / "users.csv"
    way = told(project, capsys, "--before", "churn", "--path", row["path"], "--users", str(file))
    assert (way["users"], way["churned"]) == (row["users"], row["churned"])
    listed = pl.read_csv(file)
    assert (listed.height, listed["churn"].sum()) == (row["users"], row["churned"])


def test_a_cluster_counts_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = told(project, capsys, "--until", "buy")
    assert told(project, capsys, "--until", "buy", "--cluster", "local:1") == here


WRONG = {
    "unknown event": (["--from", "veiw"], "did you mean 'view'"),
    "both": (["--from", "view", "--until", "buy"], "together; ask for one of them"),
    "no steps": (["--steps", "0"], "steps 0 is out of range"),
    "not matured": (["--before", "churn", "--cutoff", "2024-05-09"], "choose a cutoff at or"),
    "nobody": (["--path", "view > view"], "nobody went it"),
    "before what": (["--before", "lunch"], "write --before churn"),
    "a way before churn": (["--before", "churn", "--transition", "a > b"], "does not go with"),
    "a list before churn": (["--before", "churn", "--users", "x.csv"], "add --path or"),
    "cutoff alone": (["--cutoff", "2024-04-20"], "goes with --before churn"),
    "whole alone": (["--whole"], "goes with --before churn"),
    "users alone": (["--users", "x.csv"], "add --path or --transition"),
    "step alone": (["--at", "1"], "add --path or --transition"),
    "a date": (["--since", "yesterday"], "is neither a date nor an instant"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_ends_in_one_line(
    name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, said = WRONG[name]
    capsys.readouterr()
    assert call(project, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "Error" in line]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("steps = 0", "paths.steps"),
        ('per = "day"', "paths.per"),
        ("topp = 3", "did you mean 'top'"),
    ],
)
def test_a_wrong_section_is_told_at_the_door(
    more: str, said: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holdfast.toml").write_text(TOML.format(more=more))
    capsys.readouterr()
    assert call(tmp_path) == 2
    assert said in capsys.readouterr().err
