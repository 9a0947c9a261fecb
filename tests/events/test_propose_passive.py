"""What is done to users is found by its name, or because it comes to all of them at once."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from ingest_tools import put

from events.propose import propose
from events.propose_passive import AT_ONCE, BY_NAME, passive_kinds
from events.propose_users import SCHEMA
from runtime.settings import load_settings

BEGIN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS, USERS = 120, 30
Row = tuple[str, dt.datetime, str]


def _log(rows: Sequence[Row], by_day: bool = False) -> pl.DataFrame:
    found = [(u, t.replace(hour=0, minute=0, second=0) if by_day else t, e) for u, t, e in rows]
    frame = pl.DataFrame(found, schema=["user", "ts", "event"], orient="row")
    return frame.with_columns(amount=None).cast(SCHEMA)  # type: ignore[arg-type]


def _visits(kind: str = "visit") -> list[Row]:
    """Every third day of each user, at any second of it, to a last day of their own."""
    drawn = random.Random(0)
    return [
        (f"u{u}", BEGIN + dt.timedelta(days=day, seconds=drawn.randrange(86_400)), kind)
        for u in range(USERS)
        for day in range(drawn.randrange(30, DAYS))
        if drawn.random() < 1 / 3
    ]


def _to_all(kind: str, every: int, share: float = 1.0) -> list[Row]:
    drawn = random.Random(1)
    return [
        (f"u{u}", BEGIN + dt.timedelta(days=day, hours=9), kind)
        for day in range(0, DAYS, every)
        for u in range(USERS)
        if drawn.random() < share
    ]


@pytest.mark.parametrize("by_day", [False, True])
def test_what_comes_to_everybody_at_once_is_done_to_them(by_day: bool) -> None:
    log = _log(_visits() + _to_all("interest", every=30), by_day)
    assert passive_kinds(log, {}) == {"interest": AT_ONCE}


def test_a_class_that_some_miss_is_attended() -> None:
    log = _log(_visits() + _to_all("class", every=7, share=0.8), by_day=True)
    assert passive_kinds(log, {}) == {}


def test_a_log_by_days_of_what_all_do_daily_is_no_mailing() -> None:
    assert passive_kinds(_log(_visits() + _to_all("open", every=1), by_day=True), {}) == {}


def test_nothing_is_left_out_where_hardly_anything_else_tells_of_users() -> None:
    few = [row for row in _visits() if row[0] in {"u0", "u1"}]
    assert passive_kinds(_log(few + _to_all("fee", every=30)), {}) == {}


@pytest.mark.parametrize(
    ("kind", "passive"),
    [
        ("email_sent", True),
        ("Push Notification Delivered", True),
        ("smsSent", True),
        ("campaign_sends", True),
        ("points_expired", True),
        ("order shipped", True),
        ("message_sent", False),
        ("gift_sent", False),
        ("email_opened", False),
        ("coupon_redeemed", False),
        ("delivery_chosen", False),
        ("sent", False),
    ],
)
def test_names_that_say_that_something_was_sent(kind: str, passive: bool) -> None:
    found = passive_kinds(_log(_visits() + _visits(kind)), {})
    assert found == ({kind: BY_NAME} if passive else {})


def test_a_file_of_what_was_delivered_says_so_by_its_times() -> None:
    log = _log(_visits() + _visits("pushes") + _visits("orders"))
    times = {"pushes": "delivered_at", "orders": "delivered_at", "visit": "at"}
    assert passive_kinds(log, times) == {"pushes": BY_NAME}


def test_what_is_opened_was_sent() -> None:
    found = passive_kinds(_log(_visits() + _visits("sent") + _visits("opened")), {})
    assert found == {"sent": BY_NAME}


def test_the_length_of_a_silence_is_read_off_what_users_do(tmp_path: Path) -> None:
    assert _churn(tmp_path, _visits() + _to_all("email_sent", every=1)) == _churn(
        tmp_path, _visits()
    )


def _churn(folder: Path, rows: Sequence[Row]) -> object:
    target = folder / "holdfast.toml"
    lines = [f"{user},{at:%Y-%m-%d %H:%M:%S},{event}\n" for user, at, event in rows]
    log = put(folder, "log.csv", "user_id,time,event\n" + "".join(lines))
    target.write_text(propose([log], target), encoding="utf-8")
    return load_settings(target).churn
