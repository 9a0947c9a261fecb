"""`holdfast leakcheck`: clean is exit 0, a leak is exit 1, nothing checked is neither."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import calling
import pytest
from small_project import write_small_project

from events.ingest import ingest
from runtime.settings import load_settings

HONEST = """
import polars as pl

def compute(events, users, cutoff):
    known = events.filter(pl.col("ts") < cutoff)
    return known.group_by("user_id").agg(events=pl.len(), spent=pl.col("amount").sum())
"""
INCLUSIVE = HONEST.replace("< cutoff", "<= cutoff")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = write_small_project(tmp_path_factory.mktemp("leakcheck"))
    ingest(load_settings(config))
    return config


called = partial(calling.called, "leakcheck --users 40")


def as_json(
    capsys: pytest.CaptureFixture[str], project: Path, *arguments: str
) -> tuple[int, dict[str, Any]]:
    code, out, _ = called(capsys, project, *arguments, "--json")
    assert out.count("\n") == 1
    return code, json.loads(out)


def own(folder: Path, text: str) -> tuple[str, str]:
    file = folder / "own.py"
    file.write_text(text)
    return "--own", str(file)


def test_the_catalogue_is_clean(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = as_json(capsys, project, "--cutoff", "2024-05-01", "--cutoff", "2024-07-01")
    assert code == 0
    assert found["clean"] is True
    assert found["leaks"] == []
    assert found["features"] >= 60
    assert [row["cutoff"] for row in found["cutoffs"]] == ["2024-05-01", "2024-07-01"]
    assert all(0 < row["users"] <= 40 for row in found["cutoffs"])
    assert len(found["worlds"]) >= 9
    assert found["not_altered"]["attributes"] == "a users table with 'valid_from'"
    assert found["not_altered"]["late"] == "an event with 'received'"


def test_what_was_checked_is_said(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = called(capsys, project, *own(tmp_path, HONEST))
    assert code == 0
    assert "Leaks: nothing" in out
    assert err == ""
    for words in ("features", "40 at 2024-", "altered worlds", "cut, at, soon", "not altered"):
        assert words in out


def test_a_leak_is_told_and_exits_with_1(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = as_json(
        capsys, project, *own(tmp_path, INCLUSIVE), "--cutoff", "2024-05-01T10:20:30Z"
    )
    assert code == 1
    assert found["clean"] is False
    assert {leak["world"] for leak in found["leaks"]} == {"at"}
    assert {leak["column"] for leak in found["leaks"]} == {"events", "spent"}
    worst = found["leaks"][0]
    assert worst["after"] == worst["before"] + 1
    assert worst["cutoff"] == "2024-05-01T10:20:30Z"
    assert "inclusive" in worst["cause"]
    code, out, _ = called(capsys, project, "--own", str(tmp_path / "own.py"))
    assert code == 1
    assert "events, spent" in out
    assert "the cutoff is inclusive" in out


def test_nothing_at_or_after_the_as_of_is_looked_at(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    noted = f"    with open({str(seen)!r}, 'a') as notes:\n"
    noted += "        print(events.collect()['ts'].max(), file=notes)\n"
    spying = HONEST.replace("    known", noted + "    known", 1)
    code, found = as_json(capsys, project, *own(tmp_path, spying), "--as-of", "2024-03-01")
    assert code == 0
    assert all(row["cutoff"] < "2024-03-01" for row in found["cutoffs"])
    as_it_is, *_ = seen.read_text().splitlines()  # the altered worlds come after it
    assert as_it_is < "2024-03-01"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no function 'compute'"),
        ("def compute(", "cannot be run: SyntaxError"),
        ("def compute(events, users, cutoff):\n    return 3\n", "returned a int"),
        ("def compute(events, users, cutoff):\n    return users.x\n", "cannot be computed: Attrib"),
        (HONEST.replace("user_id", "event"), "no column 'user_id'; found event, events, spent"),
    ],
)
def test_an_unusable_file_is_one_line_and_exit_2(
    text: str, words: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = called(capsys, project, *own(tmp_path, text))
    assert code == 2
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--own", "missing.py"), "missing.py: no such file"),
        (("--cutoff", "2020-01-01"), "no event lies before it"),
        (("--cutoff", "2030-01-01"), "nobody has features, so nothing was checked"),
        (("--cutoff", "soon"), "'soon' is neither a date nor an instant"),
        (("--users", "0"), "Invalid value for '--users'"),
    ],
)
def test_a_check_of_nothing_is_exit_2(
    arguments: tuple[str, ...], words: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = called(capsys, project, *arguments)
    assert code == 2
    assert out == ""
    assert words in err
