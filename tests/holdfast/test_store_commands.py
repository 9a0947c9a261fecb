"""optimize and erase on a whole project: nothing downstream notices the one, the other leaves
nobody behind, and both may be killed and run again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from killing import killed, undisturbed
from small_project import write_small_project

from events.contract import EVENTS
from holdfast.cli import run
from runtime.tables import open_table, recorded, stored_kind

MOMENTS = 20
IN_THE_SUITE = 4
CUTOFFS = ("--cutoff", "2024-06-01", "--cutoff", "2024-07-01")
COMMANDS = {
    "optimize": ("optimize", "--buckets", "7"),
    "erase": ("erase", "--user", "00007", "--user", "00011"),
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a file in each of two ingests, snapshots, scores and an export."""
    folder = tmp_path_factory.mktemp("store") / "p"
    config = write_small_project(folder, files=2)
    late = (folder / "data" / "part-1.csv").rename(folder / "later.csv")
    assert run(["ingest", "-c", str(config)]) == 0
    late.rename(folder / "data" / "part-1.csv")
    for command in (
        ("ingest",),
        ("snapshot", *CUTOFFS),
        ("train", "--as-of", "2024-08-01", "--model", "logistic"),
        ("score", "--as-of", "2024-08-01"),
        ("export", "--format", "csv"),
    ):
        assert run([*command, "-c", str(config)]) == 0
    # From here on the number of buckets is left to optimize.
    config.write_text(config.read_text().replace("buckets = 4\n", ""))
    return folder


def _project(ready: Path, folder: Path) -> Path:
    shutil.copytree(ready, folder)
    return folder / "holdfast.toml"


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def _downstream(config: Path, capsys: pytest.CaptureFixture[str]) -> list[object]:
    """What the later stages make of the store: a snapshot's rows, charts, an export's bytes."""
    at = ("-c", str(config))
    path = Path(str(_json(capsys, "snapshot", *CUTOFFS, *at)["table"]))
    snapshot = open_table(path, stored_kind(path)).scan().collect()
    _json(capsys, "score", "--as-of", "2024-08-01", *at)
    exported = _json(capsys, "export", "--format", "csv", *at)["files"]
    assert isinstance(exported, list)
    return [
        snapshot.sort("cutoff", "user_id").to_dicts(),
        _json(capsys, "retention", *at),
        _json(capsys, "lifecycle", *at),
        Path(str(exported[0])).read_bytes(),
    ]


@pytest.mark.parametrize("buckets", [pytest.param("1", marks=pytest.mark.slow), "7"])
def test_nothing_downstream_notices_another_layout(
    ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], buckets: str
) -> None:
    config = _project(ready, tmp_path / "p")
    before = _downstream(config, capsys)
    result = _json(capsys, "optimize", "--buckets", buckets, "-c", str(config))
    assert (result["buckets_before"], result["buckets"]) == (4, int(buckets))
    assert (result["files_before"], result["files"]) == (8, int(buckets))
    assert _downstream(config, capsys) == before


def test_erase_says_what_it_did(
    ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _project(ready, tmp_path / "p")
    listed = tmp_path / "ids.txt"
    listed.write_text("00011\nnobody\n")
    call = ("erase", "--user", "00007", "--users-from", str(listed), "-c", str(config))
    result = _json(capsys, *call)
    assert result["found"] is True
    users = result["users"]
    assert isinstance(users, dict)
    assert sorted(users.values()) == [False, True, True]
    assert Path(str(result["receipt"])).exists()
    assert _holding(tmp_path / "p", "00007", "00011") == []
    again = _json(capsys, *call)
    assert (again["found"], again["rows"]) == (False, 0)
    assert run(["erase", "-c", str(config)]) == 2
    assert "no user is named" in capsys.readouterr().err
    assert run(["erase", "--user", "00012", "-c", str(config)]) == 0
    assert "found" in capsys.readouterr().out


def _holding(folder: Path, *ids: str) -> list[str]:
    """The files with a row of one of these users, in Parquet or in text."""
    found = []
    for path in [p for name in ("store", "exports") for p in (folder / name).rglob("*")]:
        if path.suffix == ".parquet" and "_delta_log" not in path.parts:
            frame = pl.read_parquet(path, hive_partitioning=False)
            held = "user_id" in frame.columns and frame["user_id"].is_in(ids).any()
        else:
            held = path.is_file() and any(f'"{user}"'.encode() in path.read_bytes() for user in ids)
        if held:
            found.append(str(path))
    return found


def _rows(folder: Path) -> object:
    """Every table's rows whatever the buckets, and the export."""
    tables = {}
    for log in sorted((folder / "store").rglob("_delta_log")):
        frame = open_table(log.parent, stored_kind(log.parent)).scan().collect()
        tables[str(log.parent.relative_to(folder))] = frame.sort(frame.columns).to_dicts()
    exports = {path.name: path.read_bytes() for path in (folder / "exports").iterdir()}
    return tables, exports


@pytest.fixture(scope="module")
def whole(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], object]:
    """What an undisturbed run of a command leaves, and how long that takes."""
    known: dict[str, object] = {}

    def left(name: str) -> object:
        if name not in known:
            config = _project(ready, tmp_path_factory.mktemp(name) / "p")
            seconds = undisturbed(*COMMANDS[name], "-c", str(config))
            known[name] = _rows(config.parent), seconds
        return known[name]

    return left


@pytest.mark.parametrize(
    "moment",
    [pytest.param(n, marks=() if n < IN_THE_SUITE else pytest.mark.slow) for n in range(MOMENTS)],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_run_again(
    ready: Path,
    tmp_path: Path,
    whole: Callable[[str], tuple[object, float]],
    name: str,
    moment: int,
) -> None:
    expected, seconds = whole(name)
    config = _project(ready, tmp_path / "p")
    call = (*COMMANDS[name], "-c", str(config))
    # The first third is Python starting up.
    share = 0.3 + 0.7 * (moment * 7 % MOMENTS + random.Random(f"{name}{moment}").random()) / MOMENTS
    killed(seconds * share, *call)
    events = open_table(tmp_path / "p/store/events", EVENTS)
    assert events.rows() == events.scan().select(pl.len()).collect().item()
    undisturbed(*call)
    assert _rows(tmp_path / "p") == expected
    assert not [*(tmp_path / "p").rglob("*.draft")]
    assert not [*(tmp_path / "p/store/.staging").glob("*")]
    if name == "erase":
        assert _holding(tmp_path / "p", "00007", "00011") == []
    else:
        assert recorded(tmp_path / "p/store/events", "holdfast.buckets") == 7
