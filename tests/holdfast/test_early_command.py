"""`holdfast early`: one JSON object, sentences for people, a list on request, errors in a line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import calling
import polars as pl
import pytest
from early_planted import newcomers

from events.ingest import ingest
from runtime.settings import load_settings

TOML = """
[[source]]
name = "shop"
path = "log.csv"

[source.columns]
user_id = "user_id"
ts = "ts"
event = "event"
amount = "amount"

[events]
buckets = 3

[churn]
horizon_days = 30
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("early")
    log = newcomers(2000, 3, pay_ratio=2.5, stay_ratio=0.5)
    log.select("user_id", "ts", "event", "amount").write_csv(
        folder / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S%.6f"
    )
    config = folder / "holdfast.toml"
    config.write_text(TOML)
    ingest(load_settings(config))
    return config


called = partial(calling.called, "early")
as_json = partial(calling.as_json, "early")


def test_json_tells_markers_and_how_they_were_found(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, project)
    best = found["rows"][0]
    assert (best["event"], best["at_least"], best["days"]) == ("e4", 3, 7)
    assert best["q"] < 0.05
    assert best["experiment_users"] > 10
    assert "associations, not causes" in found["caution"]
    assert found["users_file"] is None


def test_people_read_sentences_and_no_ids(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = called(capsys, project)
    assert code == 0
    assert "Users who do 'e4' at least 3 times in their first 7 days pay" in " ".join(
        word.strip("│ ") for word in out.split()
    )
    assert "associations, not causes" in err
    assert "u0" not in out


def test_options_stand_in_for_the_settings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, project, "--days", "2,5", "--counts", "1,4", "--stay-days", "20")
    assert (found["first_days"], found["counts"]) == ([2, 5], [1, 4])
    assert "at least 20 and less than 50 days" in found["outcomes"]["stays"]
    assert {row["days"] for row in found["rows"]} <= {2, 5}


def test_the_list_is_as_long_as_the_figure(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    found = as_json(capsys, project, "--users", str(path), "--marker", "2")
    assert found["users_file"] == {
        "marker": 2,
        "rows": found["rows"][1]["with_users"],
        "path": str(path),
    }
    assert pl.read_csv(path).height == found["rows"][1]["with_users"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--days", "1,x"], "first_days '1,x' is no list of whole numbers"),
        (["--days", "0,3"], "first_days.0: Input should be greater than or equal to 1 (found 0)"),
        (["--days", "3,1"], "first_days must rise; found 3, 1"),
        (["--days", "7,40"], "first_days 40 lies after stay_days 30"),
        (["--pay-days", "7"], "pay_days 7 is not after first_days 7"),
        (["--users", "list.txt"], "--users list.txt: a list is a .csv or .parquet file"),
        (["--users", "list.csv", "--marker", "99"], "--marker 99:"),
        (["--stay-days", "3000"], "3030 days that outcomes need have passed for 0 users"),
        (["--until", "2024-01-02"], "60 are needed at least"),
        (["--cluster", "many"], "many"),
    ],
)
def test_a_wrong_question_ends_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, err = called(capsys, project, *arguments)
    last = err.strip().splitlines()[-1]
    assert (code, out) == (2, "")
    assert words in last
    assert "Traceback" not in err
    assert not Path("list.csv").exists()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("first_day = [1]", "unknown key 'early.first_day'; did you mean 'first_days'?"),
        ("counts = []", "early.counts"),
        ("share = 1.5", "early.share"),
    ],
)
def test_wrong_settings_end_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, section: str, words: str
) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text(TOML + f"\n[early]\n{section}\n")
    code, _, err = called(capsys, config)
    assert code == 2
    assert words in err
