"""`holdfast lifecycle`: what it prints, the lists behind its figures, and one line for what is
wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_project import write_small_project

from holdfast.cli import run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = write_small_project(tmp_path_factory.mktemp("lifecycle") / "p")
    assert run(["ingest", "-c", str(config)]) == 0
    return config


def _json(capsys: pytest.CaptureFixture[str], project: Path, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["lifecycle", "-c", str(project), *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


SHOWN = {
    "states": {"period", "active", "new", "returning", "resurrected", "dormant", "complete"},
    "stickiness": {"day", "dau", "wau", "mau", "dau_wau", "dau_mau", "complete"},
    "activity": {"period", "users", "frequency_mean", "depth_median", "breadth_p90", "renewal"},
    "rfm": {"recency", "frequency", "monetary", "users", "share", "value"},
    "layers": {"period", "at", "layer", "users", "share", "value", "value_recent", "complete"},
}


@pytest.mark.parametrize("show", SHOWN)
def test_each_view_prints_one_object(capsys, project: Path, show: str) -> None:
    found = _json(capsys, project, "--show", show, "--period", "month")
    assert SHOWN[show] <= set(found["rows"][0])


@pytest.mark.parametrize("show", ["layers", "tags", "movements"])
def test_people_see_the_rules_beside_the_numbers(capsys, project: Path, show: str) -> None:
    capsys.readouterr()
    assert run(["lifecycle", "-c", str(project), "--show", show, "--period", "month"]) == 0
    printed = capsys.readouterr().out
    assert "rule" in printed
    assert "gap_ratio" in printed
    assert "at risk" in printed


@pytest.mark.parametrize("show", ["states", "stickiness", "activity", "rfm"])
def test_a_table_fits_a_terminal(
    capsys, project: Path, monkeypatch: pytest.MonkeyPatch, show: str
) -> None:
    capsys.readouterr()
    monkeypatch.setenv("TERM", "dumb")  # of 80 columns
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["lifecycle", "-c", str(project), "--show", show, "--period", "month"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    (heads,) = [line for line in lines if line.startswith("┃ ") and "edges" not in line]
    words = [word.strip("┃ ") for word in heads.split("┃ ")][1:]
    assert (
        set(words)
        >= {
            "states": {"period", "resurrected", "complete"},
            "stickiness": {"day", "dau_mau", "complete"},
            "activity": {"period", "users", "frequency", "depth", "breadth", "renewal", "high"},
            "rfm": {"recency", "frequency", "monetary", "users", "share", "value"},
        }[show]
    )
    rows = [line for line in lines if line.startswith("│ ") and line.count("│") == len(words) + 1]
    assert len(rows) == len(_json(capsys, project, "--show", show, "--period", "month")["rows"])


@pytest.mark.parametrize("kind", ["state", "layer", "tag", "segment", "move"])
def test_a_list_is_as_long_as_its_figure(capsys, project: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "users.csv"
    views = {"state": "states", "segment": "rfm"}
    found = _json(capsys, project, "--show", views.get(kind, "layers"), "--period", "month")
    row, chosen = _figure(kind, found)
    at = ["--at", row["period"]] if "period" in row else []
    listed = _json(capsys, project, *chosen, *at, "--period", "month", "--users", str(file))
    users = pl.read_csv(file, schema_overrides={"user_id": pl.String})
    assert users.height == listed["users"] == row["users"] > 0
    assert users["user_id"].n_unique() == users.height
    assert users["user_id"].str.len_chars().unique().to_list() == [5]


def _figure(kind: str, found: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if kind == "state":
        row = next(r for r in found["rows"] if r["dormant"])
        return row | {"users": row["dormant"]}, ["--state", "dormant"]
    if kind == "segment":
        row = max(found["rows"], key=lambda r: r["users"])
        return row, ["--segment", f"{row['recency']}-{row['frequency']}-{row['monetary']}"]
    if kind == "move":
        rows = [r for r in found["movements"] if r["from"] and r["from"] != r["to"]]
        row = max(rows, key=lambda r: r["users"])
        return row, ["--layer", row["to"], "--from", row["from"]]
    rows = found["tag_rows" if kind == "tag" else "rows"]
    row = max(rows, key=lambda r: r["users"])
    return row, [f"--{kind}", row[kind]]


BAD = {
    "an unknown state": (("--state", "gone", "--at", "2024-02-01", "--users", "F"), "dormant"),
    "a state without a period": (("--state", "new", "--users", "F"), "--at"),
    "a period outside the log": (("--state", "new", "--at", "1999-01-01", "--users", "F"), "1999"),
    "two figures": (("--state", "new", "--tag", "loyal", "--users", "F"), "one of --state"),
    "no figure": (("--users", "F"), "one of --state"),
    "no file": (("--layer", "VIP"), "--users FILE"),
    "an unknown layer": (("--layer", "vip", "--users", "F"), "VIP"),
    "an unknown tag": (("--tag", "best", "--users", "F"), "loyal"),
    "from without a layer": (("--tag", "loyal", "--from", "new", "--users", "F"), "--layer"),
    "from an unknown layer": (("--layer", "VIP", "--from", "x", "--users", "F"), "none"),
    "a cell of two": (("--segment", "5-5", "--users", "F"), "5-4-5"),
    "an unknown period": (("--period", "year"), "day, week, month"),
    "an empty range": (("--since", "2024-02-01", "--until", "2024-02-01"), "not before"),
    "a range after the log": (("--since", "2030-01-01"), "no week of the log"),
    "an instant before the log": (("--show", "rfm", "--at", "1999-01-01"), "1999"),
    "an instant after the log": (("--show", "rfm", "--at", "2031-01-01"), "2031"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_ends_in_one_line(capsys, project: Path, tmp_path, name: str) -> None:
    arguments, word = BAD[name]
    told = [str(tmp_path / "users.csv") if one == "F" else one for one in arguments]
    capsys.readouterr()
    assert run(["lifecycle", "-c", str(project), *told]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("device")]
    assert len(error) == 1
    assert word in error[0]
    assert not (tmp_path / "users.csv").exists()


SETTINGS = {
    "an unknown measure": ('layers = [{ name = "x", rule = "recency_day > 3" }]', "recency_days"),
    "a number": ('layers = [{ name = "x", rule = "orders + 1" }]', "no yes or no"),
    "no SQL": ('tags = [{ name = "x", rule = "orders >" }]', "no SQL expression"),
    "a sum over users": ('tags = [{ name = "x", rule = "sum(orders) > 3" }]', "no function 'sum'"),
    "a query": ('tags = [{ name = "x", rule = "orders > (select 1)" }]', "select"),
    "a text": ('tags = [{ name = "x", rule = "orders like \'a%\'" }]', "cannot be told"),
    "a rank without a share": ('tags = [{ name = "x", rule = "value_rank > 1" }]', "share"),
    "a name twice": (
        'tags = [{ name = "x", rule = "true" }, { name = "x", rule = "true" }]',
        "share a name",
    ),
    "the name of the rest": ('layers = [{ name = "other", rule = "true" }]', "fits no rule"),
    "no layers": ("layers = []", "layers"),
    "edges that fall": ("rfm = { recency_edges = [30, 7] }", "must rise"),
    "one part": ("rfm = { parts = 1 }", "parts"),
    "an unknown key": ("windows = 3", "window_days"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_rule_ends_in_one_line(capsys, project: Path, name: str) -> None:
    text, word = SETTINGS[name]
    config = project.with_name(f"wrong-{list(SETTINGS).index(name)}.toml")
    config.write_text(f"{project.read_text()}\n[lifecycle]\n{text}\n")
    capsys.readouterr()
    assert run(["lifecycle", "-c", str(config)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert word in error[0]


def test_rfm_needs_amounts(capsys, project: Path) -> None:
    config = project.with_name("without.toml")
    config.write_text(project.read_text() + '\n[value]\nevents = ["never"]\n')
    capsys.readouterr()
    assert run(["lifecycle", "-c", str(config), "--show", "rfm"]) == 2
    assert "nobody has bought" in capsys.readouterr().err
