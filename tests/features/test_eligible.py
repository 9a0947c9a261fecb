"""Who is scored at t, worked by hand at every edge."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from oracles.features_logs import T, events_frame, users_frame

from features.definitions import Definitions
from features.eligible import eligible_plan
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
CANCELS = Churn(kind="active", events=("cancel",))


def eligible(
    log: list[tuple[timedelta, str]],
    churn: Churn | None = None,
    within_days: int | None = None,
    left: datetime | None = None,
    activity: Activity | None = None,
) -> bool:
    """Whether a user with these events, each so long before t, is scored."""
    meant = Definitions(
        activity or Activity(), Eligible(within_days=within_days), churn or Churn(), Value()
    )
    base: dict[str, Any] = {"user_id": "a", "amount": None, "channel": None}
    rows = [base | {"ts": T - before, "event": name} for before, name in log]
    users = users_frame({"a": {"age": None, "plan": None, "left": left}}).lazy()
    plan = eligible_plan(events_frame(rows).lazy(), Cutoff(T), meant, users)
    return collect(plan, CPU)["user_id"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [(0 * DAY, False), (TICK, True), (30 * DAY, True), (30 * DAY + TICK, False)],
)
def test_activity_within_the_days_before(before: timedelta, expected: bool) -> None:
    assert eligible([(before, "view")], within_days=30) == expected


def test_only_activities_count() -> None:
    views = Activity(events=("view",))
    assert not eligible([(DAY, "mail sent")], activity=views)
    assert eligible([(DAY, "mail sent"), (400 * DAY, "view")], activity=views)
    assert not eligible([(DAY, "mail sent"), (40 * DAY, "view")], activity=views, within_days=30)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([(5 * DAY, "view")], True),
        ([(5 * DAY, "view"), (2 * DAY, "cancel")], False),
        ([(5 * DAY, "cancel"), (2 * DAY, "view")], True),  # came back
        ([(2 * DAY, "cancel"), (2 * DAY, "view")], False),  # at the same instant: no return
        ([(5 * DAY, "cancel"), (2 * DAY, "view"), (DAY, "cancel")], False),
        ([(5 * DAY, "view"), (0 * DAY, "cancel")], True),  # cancels at t: not known yet
        ([(5 * DAY, "cancel")], False),
    ],
)
def test_who_has_cancelled_is_not_scored_until_back(
    log: list[tuple[timedelta, str]], expected: bool
) -> None:
    assert eligible(log, CANCELS) == expected


@pytest.mark.parametrize(
    ("left", "expected"), [(None, True), (T, True), (T - TICK, False), (T + DAY, True)]
)
def test_whose_churn_date_has_passed_is_not_scored(left: datetime | None, expected: bool) -> None:
    by_date = Churn(kind="active", date_column="left")
    assert eligible([(5 * DAY, "view"), (TICK, "view")], by_date, left=left) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([(29 * DAY, "renew")], True),
        ([(30 * DAY - TICK, "renew")], True),
        ([(30 * DAY, "renew")], False),  # runs out at t
        ([(90 * DAY, "renew"), (3 * DAY, "renew")], True),
        ([(3 * DAY, "view")], False),  # never subscribed
    ],
)
def test_only_who_is_covered_can_lapse(log: list[tuple[timedelta, str]], expected: bool) -> None:
    lapse = Churn(kind="lapse", events=("renew",), period_days=28, grace_days=2)
    assert eligible(log, lapse) == expected
