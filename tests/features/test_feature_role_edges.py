"""Edges of subscriptions, peers, arrivals and the calendar, each worked by hand."""

from __future__ import annotations

import math

import pytest
from oracles.features_engines import ENGINES, Computes, one
from oracles.features_logs import T
from oracles.features_worked import DAY, FULL, MICRO, MINUTE, WHOLE, at, row, whole

MICROS_A_DAY = 24 * 60 * 60 * 1_000_000


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Computes:
    return ENGINES[request.param]


@pytest.mark.parametrize(("days", "mean"), [(7, 0.5), (30, 3.0), (180, 2.0), (365, 8.0)])
def test_peers_are_those_of_the_band_that_a_tenure_has_reached(
    engine: Computes, days: int, mean: float
) -> None:
    """First seen just so many days ago, and once more a day ago: the band begins on its edge. A
    microsecond less is the band before; the youngest have no peers, and in one band none do
    anything."""
    once = at(T - DAY)
    inside = 1 + (days <= 30)  # the first event is in the month too
    reached = one(engine, [at(T - days * DAY), once], WHOLE)
    assert reached["events_30d_over_peers"] == pytest.approx(inside / mean)
    before = one(engine, [at(T - days * DAY + MICRO), once], WHOLE)
    means = {7: None, 30: 0.5, 180: None, 365: 2.0}
    known = means[days]
    expected = None if known is None else pytest.approx(inside / known)
    assert before["events_30d_over_peers"] == expected


def test_the_place_in_the_paid_period(engine: Computes) -> None:
    """Renewed for 30 days with 3 of grace: after 30 days the period is over, and 3 are left. At
    33 days the lapse has come, and nobody is left to score."""
    lapse, renewed = whole("lapse"), [at(T - 30 * DAY, "buy")]
    a = one(engine, renewed, lapse)
    assert (a["renewals_total"], a["renewal_days_since"]) == (1, 30.0)
    assert (a["cycle_position"], a["days_to_lapse"]) == (1.0, 3.0)
    late = engine([at(T - 33 * DAY, "buy")], [T - MICRO, T], lapse, {})
    assert [cutoff for cutoff, _ in late] == [T - MICRO]
    assert late[T - MICRO, "a"]["days_to_lapse"] == pytest.approx(1 / MICROS_A_DAY, rel=1e-3)


def test_who_left_and_came_back(engine: Computes) -> None:
    log = [at(T - 9 * DAY, "cancel"), at(T - 5 * DAY, "cancel"), at(T - 5 * DAY + MICRO)]
    a = one(engine, log, whole("active"))
    assert (a["endings_total"], a["ending_days_since"]) == (2, 5.0)
    assert engine(log[:2], [T], whole("active"), {}) == {}


def test_an_event_is_known_when_it_has_arrived(engine: Computes) -> None:
    """Three events of five days ago: one arrived at once, one just before T, one just at T. At
    each cutoff the log is what it was then, and its first session has one, two or three."""
    start = T - 5 * DAY
    log = [
        at(start, amount=1.0),
        at(start + MINUTE, amount=2.0, received=T - MICRO),
        at(start + 2 * MINUTE, amount=4.0, received=T),
    ]
    found = engine(log, [T - DAY, T, T + MICRO], FULL, {})
    seen = [(v["events_total"], v["amount_7d"], v["session_depth_max"]) for v in found.values()]
    assert seen == [(1, 1.0, 1), (2, 3.0, 2), (3, 7.0, 3)]
    assert found[T, "a"]["session_minutes_total"] == 1.0


def test_holidays_begin_at_local_midnight(engine: Computes) -> None:
    """Good Friday and Easter Monday 2024 in Berlin: Thursday 23:00 UTC before the clocks change
    and Sunday 22:00 UTC after. T is in the afternoon of Easter Sunday, the 91st day."""
    a = one(engine, [row(5)], WHOLE)
    assert a["days_to_holiday"] == pytest.approx(9.5 / 24)
    assert a["days_since_holiday"] == pytest.approx((2 * 24 + 13.5) / 24)
    assert a["cutoff_weekday"] == 7
    assert a["season_sine"] == pytest.approx(math.sin(2 * math.pi * 91 / 365.25))
