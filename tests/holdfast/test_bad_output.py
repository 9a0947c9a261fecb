"""A place where nothing can be put ends a command with exit 2 and one line that names it, before
any work is done, and leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from serving_tools import put_scores
from small_project import small_log, write_small_project

from holdfast.cli import run
from runtime.settings import load_settings

A_FILE = "data/part-0.csv"
PLACES = {  # and what is said of it
    "special folder": ("/proc/it{end}", "/proc/it.*: nothing can be put there"),
    "below a special folder": ("/proc/a/it{end}", "/proc/a/it.*: nothing can be put there"),
    "below a file": (A_FILE + "/it{end}", "part-0.csv: is not a folder; choose another --?"),
    "a name too long": ("n" * 300 + "{end}", "nnn.*: the name is too long"),
    "a folder": ("folder{end}", "is a folder where the file should go|is not a folder"),
    "nothing": ("", r" \.: is a folder|--\w+ \.: |is empty; name a folder"),
}
LIST = (".csv", "--users")
COMMANDS = {
    "report": ("report", ".html", "--out"),
    "retention": ("retention --in-cell 1", *LIST),
    "funnel": ("funnel view purchase --dropped 1", *LIST),
    "path": ("paths --path view>search", *LIST),
    "path before churn": ("paths --before churn --path view>search", *LIST),
    "lifecycle": ("lifecycle --state new --at 2024-05-01", *LIST),
    "early": ("early", *LIST),
    "groups": ("groups", ".csv", "--out"),
    "saved groups": ("groups", ".json", "--save"),
    "init": (f"init {A_FILE}", ".toml", "-c"),
    "demo": ("demo --users 1000", "", "--out"),
    "demo's runs": ("demo --users 1000", "", "--tracking"),
    "export": ("export", "", "--out"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("p")
    config = write_small_project(folder / "p", small_log(60))
    assert run(["ingest", "-c", str(config)]) == 0
    put_scores(load_settings(config), ["a"], [0.5], [1.0])
    return config.parent


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_where_nothing_can_be_put(
    command: str,
    place: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call, ending, option = COMMANDS[command]
    monkeypatch.chdir(project)
    there, said = PLACES[place][0].format(end=ending), PLACES[place][1]
    if place == "a folder" and ending:
        Path(there).mkdir(exist_ok=True)
    elif place == "a folder":  # a file where a folder should go
        there = A_FILE
    before = _files(project)
    config = [] if option == "-c" or call.startswith("demo") else ["-c", "holdfast.toml"]
    code = run([*call.split(), *config, option, there])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    error, *more = [line for line in err.splitlines() if not line.startswith("device: ")]
    assert not more
    assert re.search(said, error), error
    assert _files(project) == before
