"""`holdfast retention`: what [retention] says, what the call says instead, and lists of users."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import calling
import polars as pl
import pytest

from events.ingest import ingest
from runtime.settings import load_settings

CONFIG = """
[project]
timezone = "Asia/Shanghai"
[[source]]
name = "log"
path = "log.csv"
timezone = "Asia/Shanghai"
[source.columns]
user_id = "user"
ts = "time"
event = "event"
amount = "amount"
channel = "channel"
[users]
path = "users.csv"
attributes = ["country"]
[users.columns]
user_id = "user"
"""
LOG = """user,time,event,amount,channel,plan
a,2024-05-01 10:00:00,view,,web,gold
a,2024-05-02 00:01:00,buy,5,app,gold
a,2024-05-09 10:00:00,view,,web,gold
b,2024-05-01 23:59:00,buy,10,app,free
b,2024-05-01 23:59:30,view,,app,free
c,2024-05-03 10:00:00,view,,web,free
c,2024-05-04 10:00:00,buy,1,web,free
a,2024-05-20 10:00:00,view,,web,gold
"""
USERS = "user,country\na,DE\nb,CN\nc,DE\n"


def project(folder: Path, section: str = "") -> Path:
    config = folder / "holdfast.toml"
    config.write_text(CONFIG + section)
    (folder / "log.csv").write_text(LOG)
    (folder / "users.csv").write_text(USERS)
    ingest(load_settings(config))
    return config


called = partial(calling.called, "retention")
found = partial(calling.as_json, "retention")


def cells(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {row["cell"]: (row["retained"], row["users"]) for row in rows}


SECTION = """
[retention]
period = "day"
mode = "nday"
periods = 1
by = "country"
measure = "payers"
"""


def test_the_section_is_the_default_of_every_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project(tmp_path, SECTION)
    table = found(capsys, config)
    asked = {name: table[name] for name in ("mode", "period", "by", "measure", "clock", "anchor")}
    assert asked == {
        "mode": "nday",
        "period": "day",
        "by": "country",
        "measure": "payers",
        "clock": "calendar",
        "anchor": "first",
    }
    # Day 0: b buys; day 1: a (00:01 on the next day) and c.
    assert cells(table["overall"]) == {"0": (1, 3), "1": (2, 3)}
    groups = {row["group"]: row["retained"] for row in table["groups"] if row["cell"] == "1"}
    assert groups == {"DE": 2, "CN": 0}


def test_an_option_takes_the_place_of_what_the_section_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project(tmp_path, SECTION + 'brackets = [[0, 0], [1, 8]]\nsince = "2024-05-02"\n')
    words = ("--measure", "users", "--mode", "rolling", "--since", "2024-05-01", "--did", "buy")
    table = found(capsys, config, *words, "--at-least", "1", "--in-first-days", "2")
    assert (table["by"], table["did"]) == (None, {"event": "buy", "at_least": 1, "days": 2})
    assert cells(table["overall"]) == {"0+": (3, 3), "1+": (2, 3)}
    assert {row["group"] for row in table["groups"]} == {"did"}
    ranged = found(capsys, config, "--mode", "nday", "--measure", "users")
    assert cells(ranged["overall"]) == {"0": (1, 1), "1": (1, 1)}


def test_every_option_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = project(tmp_path)
    words = ("--period", "day", "--brackets", "0,1-8", "--anchor", "every", "--start", "view")
    more = ("--back", "buy", "--clock", "elapsed", "--cohort", "month", "--until", "2024-05-08")
    table = found(capsys, config, *words, *more, "--by", "plan", "--top", "1")
    assert (table["start"], table["back"], table["clock"]) == (["view"], ["buy"], "elapsed")
    assert table["counted"].startswith("starts")
    # Views before May 8 anchor: a's on May 1, b's and c's. Buying within the first 24 hours: a
    # (14 h later) and not c (24 h later, which is window 1) and not b, who had bought before.
    assert cells(table["overall"]) == {"0": (1, 3), "1-8": (1, 3)}
    assert {(row["kind"], row["group"]) for row in table["groups"]} == {
        ("value", "free"),
        ("other", "(other)"),
    }
    cutoff = found(capsys, config, "--anchor", "2024-05-03", "--period", "day")
    assert cutoff["anchor"] == "2024-05-02T16:00:00Z"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_list_holds_as_many_users_as_the_figure(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = project(tmp_path), tmp_path / f"lost{suffix}"
    words = ("--period", "day", "--mode", "nday", "--periods", "1", "--by", "country")
    ask = ("--users", str(path), "--in-cell", "1", "--in-group", "CN", "--lost")
    table = found(capsys, config, *words, *ask)
    figure = next(r for r in table["groups"] if (r["cell"], r["group"]) == ("1", "CN"))
    assert table["users_file"] == {"path": str(path), "rows": 1}
    assert figure["users"] - figure["retained"] == 1
    rows = pl.read_csv(path) if suffix == ".csv" else pl.read_parquet(path)
    assert rows["user_id"].to_list() == ["b"]
    assert rows.columns == ["user_id", "cohort", "anchor", "group"]
    assert str(rows["cohort"][0]) == "2024-05-01"
    assert str(rows["anchor"][0]).startswith("2024-05-01")
    assert sorted(p.name for p in tmp_path.glob("*lost*")) == [path.name]


def test_people_read_a_triangle_and_no_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project(tmp_path)
    code, shown, _ = called(capsys, config, "--period", "day", "--mode", "nday", "--periods", "2")
    assert code == 0
    for words in ("2024-05-01", "overall", "50.0%", "100.0%", "cohorts whose cell has"):
        assert words in shown
    code, shown, _ = called(capsys, config, "--period", "week", "--periods", "3", "--by", "plan")
    assert "gold" in shown
    assert "…" in shown
    assert "together" not in shown  # of one cohort
    _, shown, _ = called(capsys, config, "--period", "day", "--periods", "2", "--by", "plan")
    assert "2 cohorts by day together" in shown


def test_a_property_that_only_later_events_have_is_not_called_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project(tmp_path)
    (tmp_path / "log.csv").write_text(
        "user,time,event,amount,channel,plan\n"
        "a,2024-05-01 10:00:00,view,,web,\na,2024-05-02 10:00:00,buy,5,app,gold\n"
    )
    shutil.rmtree(tmp_path / "store")
    ingest(load_settings(config))
    code, _, err = called(capsys, config, "--by", "plan")
    assert (code, "by 'plan': no event that users start with has it" in err) == (2, True)
    assert called(capsys, config, "--by", "plan", "--start", "buy")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--mode", "weekly"), "mode 'weekly' is not known"),
        (("--measure", "ltv"), "measure 'ltv' is not known"),
        (("--anchor", "last"), "anchor 'last' is not known"),
        (("--anchor", "first_in_range"), "add --since"),
        (("--since", "yesterday"), "'yesterday' is neither a date nor an instant"),
        (("--brackets", "0-1,x"), "bracket 'x' is not read"),
        (("--start", "vew"), "start 'vew': no such event in the log; did you mean 'view'"),
        (("--by", "contry"), "by 'contry': no such column, attribute or property; did you mean"),
        (("--by", "plan", "--did", "buy"), "both group the users"),
        (("--did", "buy", "--at-least", "0"), "at least 0 times"),
        (("--did", "buy", "--in-first-days", "0"), "first 0 days are out of range"),
        (("--at-least", "2"), "go with --did"),
        (("--top", "0", "--by", "plan"), "top 0 is out of range"),
        (("--users", "u.csv"), "name it with --in-cell"),
        (("--lost",), "name the file with --users"),
        (("--users", "u.txt", "--in-cell", "0"), "a list is a .csv or .parquet file"),
        (("--users", "u.csv", "--in-cell", "99"), "cell '99' is not in the table"),
        (("--users", "u.csv", "--in-cell", "0", "--in-group", "x"), "group 'x' is not in the"),
        (("--users", "u.csv", "--in-cell", "0", "--in-cohort", "May"), "cohort 'May' is no date"),
        (
            ("--users", "u.csv", "--in-cell", "0", "--in-cohort", "2020-01-01"),
            "cohort 2020-01-01: nobody came then",
        ),
        (
            ("--users", "u.csv", "--in-cell", "8-12", "--in-cohort", "2024-04-29", "--lost"),
            "has not ended, so nobody is lost",
        ),
        (("--users", "u.csv", "--in-cell", "0", "--measure", "arpu"), "counts nobody"),
    ],
)
def test_a_wrong_call_is_one_line(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = called(capsys, config, *words)
    assert code == 2
    assert out == ""
    assert told in err
    assert "Traceback" not in err
    assert not [*tmp_path.glob("u.*"), *tmp_path.glob(".u.*")]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('anchor = "last"', "is none of first, first_in_range, every and no date"),
        ('since = "soon"', "is no date"),
        ('by = "plan"\ndid = "buy"', "both group the users"),
        ('measure = "ltv"', "retention.measure"),
        ("tops = 3", "did you mean 'top'"),
    ],
)
def test_a_wrong_section_is_one_line(
    section: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text(f"{CONFIG}\n[retention]\n{section}\n")
    code, _, err = called(capsys, config)
    assert code == 2
    assert told in err
    assert err.strip().count("\n") == 0
