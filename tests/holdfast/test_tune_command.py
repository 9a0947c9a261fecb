"""`holdfast tune`: its JSON, its refusals, and a search that is killed and called again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from killing import command, undisturbed
from small_project import small_log, write_small_project

from holdfast.cli import run

MOMENTS = 5
IN_THE_SUITE = 0
TRIALS = 6
TUNE = ("tune", "--as-of", "2024-08-01", "--model", "logistic", "--trials", str(TRIALS))
FINISHED = "('COMPLETE', 'PRUNED')"


def _run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    assert run(["ingest", "-c", str(write_small_project(folder, small_log(300)))]) == 0
    return folder


@pytest.fixture(scope="module")
def whole(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A project on which a search has run undisturbed, and what it said."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(ingested, folder)
    code, out, err = _run(*TUNE, "-c", str(folder / "holdfast.toml"), "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    return folder, json.loads(out)


def _trials(folder: Path, state: str = FINISHED) -> list[tuple[Any, ...]]:
    """Study, state, settings and loss of each trial in a state, in their order. Read without
    Optuna, and from a copy, so that nobody waits for this."""
    path = folder / "mlruns" / "optuna.db"
    if not path.exists():
        return []
    copy = Path(tempfile.mkdtemp(dir=folder))
    try:
        for file in path.parent.glob("optuna.db*"):  # with the journal of what was cut off
            shutil.copy(file, copy)
        with closing(sqlite3.connect(copy / path.name)) as database:
            return database.execute(
                "select study_name, trials.state, param_value, value from trials "
                "join studies using (study_id) join trial_params using (trial_id) "
                "left join trial_values using (trial_id) "
                f"where trials.state in {state} order by study_name, number"
            ).fetchall()
    except (sqlite3.DatabaseError, FileNotFoundError):  # copied while it was written
        return []
    finally:
        shutil.rmtree(copy)


def test_it_says_what_it_found(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, told = whole
    assert {"run_id", "version", "model", "as_of", "metrics", "seconds"} <= set(told)
    assert told["model"] == "logistic"
    for one in told["found"].values():
        assert one["loss"] <= one["default_loss"]
        assert one["trials"] == TRIALS
    assert len(_trials(folder)) == 2 * TRIALS
    assert not list((folder / "store" / ".staging").glob("*"))


def test_the_winner_can_be_trained_again(
    whole: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, told = whole
    call = ("train", "--as-of", "2024-08-01", "--spec", told["file"])
    assert run([*call, "-c", str(folder / "holdfast.toml"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["model"], again["metrics"]) == ("logistic", told["metrics"])


@pytest.mark.parametrize(
    "moment",
    [pytest.param(n, marks=() if n < IN_THE_SUITE else pytest.mark.slow) for n in range(MOMENTS)],
)
def test_killed_and_called_again(
    ingested: Path, whole: tuple[Path, dict[str, Any]], tmp_path: Path, moment: int
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(ingested, folder)
    call = (*TUNE, "-c", str(folder / "holdfast.toml"))
    chance = random.Random(moment)
    some, later = chance.randrange(1, 2 * TRIALS - 1), chance.uniform(0.0, 0.4)
    process = subprocess.Popen(
        command(*call),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and len(_trials(folder)) < some:
        time.sleep(0.05)
    time.sleep(later)
    assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = _trials(folder)
    assert len(kept) >= some
    undisturbed(*call)
    found = _trials(folder)
    assert set(kept) <= set(found)
    assert [row[2:] for row in found] == [row[2:] for row in _trials(whole[0])]
    assert _trials(folder, "('RUNNING', 'WAITING')") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--trials", "0"), "--trials 0: nothing would be tried"),
        (("--minutes", "0"), "--minutes 0: no time to try anything"),
        (("--model", "oracle"), "'oracle' is not known; choose one of forest, logistic"),
        (("--cluster", "many"), "cluster 'many'"),
        (("--as-of", "2030-01-01", "--trials", "x"), "--trials"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(
    ingested: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = _run("tune", *arguments, "-c", str(ingested / "holdfast.toml"))
    assert (code, out) == (2, "")
    *news, line = err.strip().splitlines()
    assert all(one.startswith("device:") for one in news)
    assert words in line
    assert "Traceback" not in err


def test_interrupted_it_says_how_to_go_on(ingested: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(ingested, folder)
    call = command(*TUNE, "-c", str(folder / "holdfast.toml"))
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not _trials(folder):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "run the same command again to go on" in err
    assert "Traceback" not in err, err
    assert _trials(folder)
