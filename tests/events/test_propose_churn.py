"""An event that is called an end is one only where users are gone after it."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
import pytest

from events.propose_churn import propose_churn
from events.propose_plan import Plan
from events.propose_users import SCHEMA

BEGIN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS, USERS = 400, 200
NO_TABLE = Plan((), None, ())


def _log(ends: str, *, after: int, seed: int = 0) -> pl.DataFrame:
    """Visits every other week; half of the users have `ends` on a day, and go on for so many
    days `after`."""
    drawn = random.Random(seed)
    rows = []
    for user in range(USERS):
        act = drawn.randrange(40, DAYS) if user % 2 else DAYS
        rows += [
            (f"u{user}", BEGIN + dt.timedelta(days=day + drawn.random()), "visit")
            for day in range(min(act + after, DAYS))
            if drawn.random() < 1 / 14
        ]
        if act < DAYS:
            rows.append((f"u{user}", BEGIN + dt.timedelta(days=act), ends))
    frame = pl.DataFrame(rows, schema=["user", "ts", "event"], orient="row")
    return frame.with_columns(amount=None).cast(SCHEMA)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "gone"), [(0, True), (25, True), (DAYS, False)], ids=["at once", "later", "never"]
)
def test_users_are_gone_after_an_end(after: int, gone: bool) -> None:
    found = propose_churn(NO_TABLE, _log("spot_cancelled", after=after))
    assert found.events == (("spot_cancelled",) if gone else ())
    assert found.kind == ("active" if gone else "passive")
    assert any("users go on after it" in why for why in found.why) is not gone


def test_a_class_that_is_cancelled_is_no_membership() -> None:
    assert propose_churn(NO_TABLE, _log("class_cancelled", after=0)).events == ()


def test_the_name_tells_where_few_have_done_it() -> None:
    log = _log("account_closed_left", after=DAYS)
    few = log.filter((pl.col("event") == "visit") | pl.col("user").is_in(["u1", "u3", "u5"]))
    assert propose_churn(NO_TABLE, few).events == ("account_closed_left",)
