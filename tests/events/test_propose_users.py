"""What churn could mean is read off whole histories, however small the part that is looked at."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from ingest_tools import put

from events import propose_files, propose_look
from events.batches import Batch
from events.csv_reader import read_csv
from events.ndjson_reader import read_ndjson
from events.parquet_reader import read_parquet
from events.propose import propose
from events.propose_look import look_at
from events.propose_plan import Plan, plan_files
from events.propose_roles import roles_of
from events.propose_users import some_users
from runtime.settings import load_settings
from runtime.settings_sources import FileFormat

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 120


def _log() -> list[dict[str, object]]:
    """Of 80 users, each on a day out of ten; every fourth one cancels at the end of his time."""
    draw = random.Random(5)
    rows: list[dict[str, object]] = []
    for user in range(80):
        last = DAYS if user % 4 else 90 + user // 4
        for day in range(user % 10, last, 10):
            at = START + timedelta(days=day, seconds=draw.randint(0, 86_000))
            page = draw.choice(["play", "home", "help"])
            rows.append({"at": at, "user": user, "page": page, "price": 1.5})
        if user % 4 == 0:
            at = START + timedelta(days=last, seconds=1)
            rows.append({"at": at, "user": user, "page": "Cancellation Confirmation", "price": 2.5})
    return sorted(rows, key=lambda row: str(row["at"]))


def _written(folder: Path, form: str) -> Path:
    rows = [row | {"at": f"{row['at']:%Y-%m-%d %H:%M:%S}"} for row in _log()]
    if form == "parquet":
        pl.DataFrame(rows).write_parquet(folder / "log.parquet", row_group_size=50)
        return folder / "log.parquet"
    if form == "ndjson":
        lines = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        lines = "at,user,page,price\n"
        lines += "".join(f"{r['at']},{r['user']},{r['page']},{r['price']}\n" for r in rows)
    put(folder, f"log.{form}", lines)
    return folder / f"log.{form}"


def _plan(path: Path) -> Plan:
    look = look_at(path)
    return plan_files([(look, roles_of(look))], path.parent)


def _in_small_batches(path: Path, layout: FileFormat) -> Iterator[Batch]:
    if layout.format == "parquet":
        return read_parquet(path, layout, 50)
    return (read_csv if layout.format == "csv" else read_ndjson)(path, layout, 2000)


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_the_first_rows_do_not_say_what_churn_is(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first 60 rows of a log in order of time, no user is seen twice and none leaves."""
    path = _written(tmp_path, form)
    whole = propose([path], tmp_path / "holdfast.toml")
    monkeypatch.setattr(propose_files, "HEAD_ROWS", 60)
    monkeypatch.setattr(propose_look, "TAIL_BYTES", 400)
    monkeypatch.setattr(propose_files, "read", _in_small_batches)
    assert not look_at(path).whole
    assert propose([path], tmp_path / "holdfast.toml") == whole
    assert 'event = "page"' in whole
    assert 'amount = "price"' in whole
    assert 'events = ["Cancellation Confirmation"]' in whole


def test_of_a_large_log_some_users_are_kept_whole(tmp_path: Path) -> None:
    plan = _plan(_written(tmp_path, "csv"))
    everybody = some_users(plan)
    some = some_users(plan, most_rows=200)
    assert len(everybody) == len(_log())
    assert 0 < len(some) <= 200
    of_them = everybody.filter(pl.col("user").is_in(some["user"].unique().implode()))
    assert some.sort("user", "ts").equals(of_them.sort("user", "ts"))


def test_rows_without_user_or_time_are_left_out(tmp_path: Path) -> None:
    put(
        tmp_path,
        "log.csv",
        "user,at,event\n1,2024-01-01,a\n,2024-01-02,a\n2,NULL,b\n2,2024-01-03,b\n",
    )
    seen = some_users(_plan(tmp_path / "log.csv"))
    assert seen["user"].to_list() == ["1", "2"]
    assert seen["ts"].null_count() == 0


def _subscribers(folder: Path, late: int) -> list[Path]:
    """Who listens every other day and pays every 30 days, or up to so many days later."""
    draw = random.Random(7)
    plays = [
        f"u{u},{START + timedelta(days=d):%Y%m%d}\n" for u in range(40) for d in range(0, 360, 2)
    ]
    bills = []
    for user in range(40):
        day = user % 30
        while day < 360:
            bills.append(f"u{user},{START + timedelta(days=day):%Y%m%d},149\n")
            day += 30 + draw.randint(0, late)
    plays_file = put(folder, "plays.csv", "user_id,date\n" + "".join(plays))
    bills_file = put(folder, "bills.csv", "user_id,date,amount_paid\n" + "".join(bills))
    return [plays_file, bills_file]


@pytest.mark.parametrize(("late", "regular"), [(0, True), (40, False)])
def test_the_amounts_of_a_horizon_hold_a_payment_and_a_silence_is_a_week(
    tmp_path: Path, late: int, regular: bool
) -> None:
    target = tmp_path / "holdfast.toml"
    target.write_text(propose(_subscribers(tmp_path, late), target), encoding="utf-8")
    settings = load_settings(target)
    assert (settings.churn.kind, settings.churn.horizon_days) == ("passive", 7)
    assert settings.value.horizon_days == (30 if regular else 60)
    hint = '# kind = "lapse", events = ["bills"], period_days = 30 and\n'
    assert (hint in target.read_text(encoding="utf-8")) == regular


def test_a_file_of_cancellations_says_who_leaves(tmp_path: Path) -> None:
    gone = "".join(f"u{u},20240{u % 9 + 1}28,price\n" for u in range(12))
    files = [
        *_subscribers(tmp_path, 0),
        put(tmp_path, "cancellations.csv", "user_id,date,why\n" + gone),
    ]
    target = tmp_path / "holdfast.toml"
    target.write_text(propose(files, target), encoding="utf-8")
    churn = load_settings(target).churn
    assert (churn.kind, churn.events) == ("active", ("cancellations",))


def test_a_table_of_some_users_is_the_users_table(tmp_path: Path) -> None:
    """A third of them told of; a table of as many products is none."""
    log = [
        f"{u},2024-0{m}-{d:02d},{u % 30}\n" for u in range(90) for m in (1, 3, 5) for d in (3, 9)
    ]
    files = [
        put(tmp_path, "log.csv", "household_key,date,product_id\n" + "".join(log)),
        put(
            tmp_path,
            "people.csv",
            "household_key,size\n" + "".join(f"{u},{u % 4}\n" for u in range(30)),
        ),
        put(
            tmp_path,
            "goods.csv",
            "product_id,weight\n" + "".join(f"{p},{p % 7}\n" for p in range(30)),
        ),
    ]
    target = tmp_path / "holdfast.toml"
    target.write_text(propose(files, target), encoding="utf-8")
    users = load_settings(target).users
    assert users is not None
    assert (users.path, users.attributes) == ("people.csv", ("size",))


def test_what_came_of_a_row_a_user_is_left_out(tmp_path: Path) -> None:
    """A loan's status is that of the day of the export; a payment's is of that payment."""
    log = [f"{u},2024-0{m}-{d:02d},ok\n" for u in range(60) for m in (1, 3, 5) for d in (3, 9)]
    loans = [f"{u},2024-02-{u % 28 + 1:02d},{'AB'[u % 2]},{u % 9}\n" for u in range(0, 60, 4)]
    files = [
        put(tmp_path, "log.csv", "account_id,date,status\n" + "".join(log)),
        put(tmp_path, "loan.csv", "account_id,date,status,duration\n" + "".join(loans)),
    ]
    target = tmp_path / "holdfast.toml"
    target.write_text(propose(files, target), encoding="utf-8")
    kept = {source.name: source.columns.properties for source in load_settings(target).source}
    assert kept == {"log": None, "loan": ("duration",)}
