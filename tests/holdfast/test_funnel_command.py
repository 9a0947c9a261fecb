"""`holdfast funnel`: named funnels, options over them, lists, and every mistake in one line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from holdfast.cli import run

TOML = """
[project]
name = "shop"
[[source]]
name = "shop"
path = "log.csv"
[source.columns]
user_id = "user"
ts = "ts"
event = "event"
channel = "channel"
[users]
path = "users.csv"
attributes = ["plan"]
valid_from = "since"
[users.columns]
user_id = "user"
[[funnel]]
name = "checkout"
steps = ["view", ["cart", "basket"], "buy"]
within_days = 2
exclude = ["leave"]
by = "plan"
[[funnel]]
name = "signup"
steps = ["view", "buy"]
"""
LOG = """user,ts,event,channel,product
ann,2024-05-01T10:00:00Z,view,web,1
ann,2024-05-01T11:00:00Z,cart,web,1
ann,2024-05-01T12:00:00Z,buy,web,2
bob,2024-05-01T10:00:00Z,view,app,1
bob,2024-05-01T11:00:00Z,basket,web,1
cid,2024-05-02T10:00:00Z,view,app,1
cid,2024-05-02T10:30:00Z,leave,app,1
cid,2024-05-02T11:00:00Z,cart,app,1
dan,2024-05-03T10:00:00Z,view,web,1
dan,2024-05-09T10:00:00Z,view,web,1
"""
# ann was on 'free' until the 2nd; bob has no row before the 2nd; dan's 'pro' begins with the
# very instant of his first view.
USERS = """user,plan,since
ann,free,
ann,pro,2024-05-02T00:00:00Z
bob,pro,2024-05-02T00:00:00Z
cid,free,
dan,free,
dan,pro,2024-05-03T10:00:00Z
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "holdfast.toml").write_text(TOML)
    (folder / "log.csv").write_text(LOG)
    (folder / "users.csv").write_text(USERS)
    assert run(["ingest", "-c", str(folder / "holdfast.toml")]) == 0
    return folder


@pytest.fixture
def told(shop: Path, capsys: pytest.CaptureFixture[str]):
    def ask(*arguments: str) -> dict:
        capsys.readouterr()
        config = ["-c", str(shop / "holdfast.toml"), "--device", "cpu", "--json"]
        assert run(["funnel", *arguments, *config]) == 0
        found: dict = json.loads(capsys.readouterr().out)
        return found

    return ask


def users_of(found: dict) -> list[int]:
    return [row["users"] for row in found["rows"]]


def test_steps_on_the_command_line(told) -> None:
    found = told("view", "cart|basket", "buy")
    assert users_of(found) == [4, 3, 1]
    names = set(found["rows"][0])
    kept = [
        "step",
        "event",
        "users",
        "share",
        "low",
        "high",
        "share_of_previous",
        "median_seconds",
        "still_open",
    ]
    assert names >= set(kept)
    assert [row["event"] for row in found["rows"]] == ["view", "cart|basket", "buy"]


def test_a_named_funnel_and_options_over_it(told) -> None:
    found = told("--name", "checkout")
    assert (found["name"], found["window_days"], found["exclude"]) == ("checkout", 2, ["leave"])
    assert users_of(found) == [4, 2, 1]
    groups = {group["value"]: users_of(group) for group in found["groups"]}
    # ann's start was while she was on 'free', dan's best start when 'pro' had just begun.
    assert groups == {"free": [2, 1, 1], "pro": [1, 0, 0], None: [1, 1, 0]}
    assert told("view", "cart", "buy", "--exclude", "leave:1-2")["exclude"] == ["leave:1-2"]
    assert told("--name", "checkout", "--within-days", "0.5")["window_days"] == 0.5
    assert users_of(told("--name", "checkout", "view", "cart")) == [4, 1]


def test_hold_order_and_range(told) -> None:
    assert users_of(told("view", "cart|basket", "buy", "--hold", "product")) == [4, 3, 0]
    assert users_of(told("cart", "view", "--order", "any")) == [4, 2]
    assert users_of(told("view", "leave", "cart", "--order", "strict")) == [4, 1, 1]
    assert users_of(told("view", "cart", "--since", "2024-05-02", "--until", "2024-05-03")) == [
        1,
        1,
    ]
    found = told("view", "cart", "--by", "channel", "--top", "1")
    assert [(g["value"], g["others"], users_of(g)) for g in found["groups"]] == [
        ("app", False, [2, 1]),
        (None, True, [2, 1]),
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_lists_hold_who_the_figures_count(told, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "lists" / f"users.{ending}"
    read = pl.read_csv if ending == "csv" else pl.read_parquet
    found = told("--name", "checkout", "--dropped", "1", "--users", str(path))
    assert found["users"] == {"file": str(path), "rows": found["rows"][0]["dropped"]}
    assert sorted(read(path)["user_id"]) == ["cid", "dan"]
    told("--name", "checkout", "--reached", "2", "--users", str(path))
    assert sorted(read(path)["user_id"]) == ["ann", "bob"]
    told("--name", "checkout", "--reached", "1", "--value", "(none)", "--users", str(path))
    assert read(path)["user_id"].to_list() == ["bob"]


def test_a_cluster_of_processes_says_the_same(told, tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    alone = told("--name", "checkout")
    both = told(
        *("--name", "checkout", "--cluster", "local:1", "--reached", "1", "--users", str(path))
    )
    assert both | {"users": None} == alone | {"users": None}
    assert pl.read_parquet(path).height == 4


def test_a_table_for_people(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["-c", str(shop / "holdfast.toml"), "--device", "cpu"]
    assert run(["funnel", "--name", "checkout", *config]) == 0
    shown = capsys.readouterr().out
    assert "checkout, sequential, within 2 days of the start" in shown
    assert "50.0%" in shown
    assert "2 h 0 min" in shown
    assert "plan (none)" in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["view"], "UsageError: a funnel of 1 step; name at least two events"),
        ([], "no funnel is asked for; name steps, or one with --name: checkout, signup"),
        (["view", "buy", "--exclude", "buy"], "exclusion 'buy' is also step 2; leave one of the"),
        (["view", "biy"], "step 'biy': no such event in the log; did you mean 'buy'?"),
        (["view", "buy", "--exclude", "laeve"], "exclusion 'laeve': no such event in the log; did"),
        (["view", "buy", "--within-days", "0"], "a conversion window of 0 days; name more than 0"),
        (["view", "buy", "--within-days", "inf"], "a conversion window of inf days; name more"),
        (["view", "buy", "--order", "some"], "order 'some' is not known; choose one of sequent"),
        (["--name", "chekout"], "funnel 'chekout' is not known; did you mean 'checkout'? known: "),
        (["view", "buy", "--dropped", "2", "--users", "x.csv"], "--dropped 2: the funnel has 2 st"),
        (["view", "buy", "--reached", "0", "--users", "x.csv"], "--reached 0: the funnel has 2 st"),
        (["view", "buy", "--reached", "1"], "a list of users goes to a file; name it with --users"),
        (["view", "buy", "--users", "x.csv"], "a list of users takes --dropped STEP or --reached"),
        (
            ["view", "buy", "--reached", "1", "--dropped", "1", "--users", "x.csv"],
            "--dropped and --reached name two lists; leave one out",
        ),
        (["view", "buy", "--reached", "1", "--users", "x.txt"], "--users x.txt: a list is a .csv"),
        (
            ["view", "buy", "--reached", "1", "--value", "a", "--users", "x.csv"],
            "--value a: the funnel is not broken down; add --by NAME",
        ),
        (
            ["view", "buy", "--by", "plan", "--reached", "1", "--value", "a", "--users", "x.csv"],
            "--value a: no such value in the table; it has free, pro, (none)",
        ),
        (
            ["view", "cart", "buy", "--exclude", "leave:2-4"],
            "exclusion 'leave:2-4': the funnel has",
        ),
        (
            ["view", "buy", "--order", "any", "--exclude", "leave:1-2"],
            "in any order no step comes before another; leave out ':1-2'",
        ),
        (
            ["view", "buy|view", "--order", "any"],
            "in any order 'view' would be two steps, 'view' and 'buy|view'",
        ),
        (["view", "buy", "--hold", "plan"], "--hold plan: an attribute of the user is the same on"),
        (["view", "buy", "--hold", "produkt"], "--hold produkt: no event of the funnel has it"),
        (["view", "buy", "--by", "produkt"], "--by produkt: no start of the funnel has it"),
        (["view", "|"], "an event without a name; write one, or 'a|b'"),
        (["view", "buy", "--since", "2024-05-03", "--until", "2024-05-01"], "is not after --since"),
        (["view", "buy", "--by", "plan", "--top", "0"], "--top 0: name at least 1 value"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    config = ["-c", str(shop / "holdfast.toml"), "--device", "cpu"]
    assert run(["funnel", *arguments, *config]) == 2
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert line in last
    assert not Path("x.csv").exists()


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ('steps = ["view", "buy"]\norder = "some"', "funnel.2.order"),
        ('steps = ["view", "buy"]\nwithin_days = 0', "funnel.2.within_days"),
        ('steps = ["view", "buy"]\nexcludes = ["x"]', "unknown key 'funnel.2.excludes'"),
    ],
)
def test_a_funnel_of_the_settings_that_cannot_be_is_named(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, line: str
) -> None:
    path = tmp_path / "holdfast.toml"
    path.write_text(TOML + f'[[funnel]]\nname = "bad"\n{section}\n')
    assert run(["funnel", "view", "buy", "-c", str(path)]) == 2
    assert line in capsys.readouterr().err
