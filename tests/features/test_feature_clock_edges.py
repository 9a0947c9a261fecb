"""Midnights and clock changes in four zones, worked by hand and asked of both engines.

Every change lies on a Sunday. `day` is the instant at which the day of the change begins and
`hours` how long it lasts; Shanghai never changes its clocks and stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from oracles.features_engines import ENGINES, Computes
from oracles.features_worked import DAY, FULL, HOUR, MICRO, MINUTE, at, utc


@dataclass(frozen=True)
class Sunday:
    zone: str
    day: datetime
    hours: int
    change: datetime | None = None


SPRING = (
    Sunday("Europe/Berlin", utc("2024-03-30 23:00"), 23, utc("2024-03-31 01:00")),
    Sunday("America/New_York", utc("2024-03-10 05:00"), 23, utc("2024-03-10 07:00")),
    Sunday("America/Los_Angeles", utc("2024-03-10 08:00"), 23, utc("2024-03-10 10:00")),
)
AUTUMN = (
    Sunday("Europe/Berlin", utc("2023-10-28 22:00"), 25, utc("2023-10-29 01:00")),
    Sunday("America/New_York", utc("2023-11-05 04:00"), 25, utc("2023-11-05 06:00")),
    Sunday("America/Los_Angeles", utc("2023-11-05 07:00"), 25, utc("2023-11-05 09:00")),
)
STEADY = (
    Sunday("Asia/Shanghai", utc("2024-03-09 16:00"), 24),
    Sunday("UTC", utc("2024-03-10 00:00"), 24),
)


def named(sunday: Sunday) -> str:
    return f"{sunday.zone} {sunday.hours} hours"


every = pytest.mark.parametrize("sunday", [*SPRING, *AUTUMN, *STEADY], ids=named)
spring = pytest.mark.parametrize("sunday", SPRING, ids=named)
autumn = pytest.mark.parametrize("sunday", AUTUMN, ids=named)
steady = pytest.mark.parametrize("sunday", STEADY, ids=named)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Computes:
    return ENGINES[request.param]


def seen(
    engine: Computes, sunday: Sunday, instants: Sequence[datetime], wait: timedelta = 20 * DAY
) -> Mapping[str, Any]:
    """The features so long after the Sunday's beginning, of one activity at each instant."""
    spec = replace(FULL, timezone=sunday.zone)
    [values] = engine([at(i) for i in instants], [sunday.day + wait], spec, {}).values()
    return values


@every
def test_midnight_begins_the_day(engine: Computes, sunday: Sunday) -> None:
    """A microsecond before is Saturday evening; midnight and one after are Sunday night."""
    a = seen(engine, sunday, [sunday.day + k * MICRO for k in (-1, 0, 1)])
    assert (a["active_days_total"], a["streak_max_days"], a["gap_last_days"]) == (2, 2, 1)
    assert (a["saturday_share"], a["sunday_share"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (a["evening_share"], a["night_share"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    # The same three microseconds are one session, whatever the date.
    assert (a["sessions_total"], a["session_depth_max"]) == (1, 3)


@every
def test_the_next_midnight_ends_the_day_after_its_own_hours(
    engine: Computes, sunday: Sunday
) -> None:
    end = sunday.day + sunday.hours * HOUR
    a = seen(engine, sunday, [end - MICRO, end])
    assert (a["sunday_share"], a["monday_share"], a["gap_last_days"]) == (0.5, 0.5, 1)


@every
def test_a_streak_goes_on_across_the_change(engine: Computes, sunday: Sunday) -> None:
    """At noon from Friday to Tuesday: five days in a row, all in the afternoon, which begins at
    noon. On Sunday that is 11, 13 or 12 hours after midnight."""
    sunday_noon = sunday.day + (sunday.hours - 12) * HOUR
    monday = sunday.day + sunday.hours * HOUR
    noons = [sunday.day - 36 * HOUR, sunday.day - 12 * HOUR, sunday_noon]
    noons += [monday + 12 * HOUR, monday + 36 * HOUR]
    a = seen(engine, sunday, noons)
    assert (a["active_days_total"], a["streak_max_days"], a["streak_last_days"]) == (5, 5, 5)
    assert (a["gap_mean_days"], a["gap_deviation_days"]) == (1.0, 0.0)
    assert (a["afternoon_share"], a["hour_entropy"]) == (1.0, 0.0)
    assert (a["friday_share"], a["sunday_share"], a["tuesday_share"]) == (0.2, 0.2, 0.2)
    # A microsecond before noon is still morning.
    early = seen(engine, sunday, [noon - MICRO for noon in noons])
    assert early["morning_share"] == 1.0


@spring
def test_24_hours_can_be_two_days_apart(engine: Computes, sunday: Sunday) -> None:
    """From half past eleven on Saturday to half past midnight on Monday: Sunday is skipped."""
    evening = sunday.day - 30 * MINUTE
    a = seen(engine, sunday, [evening, evening + DAY])
    assert (a["saturday_share"], a["sunday_share"], a["monday_share"]) == (0.5, 0.0, 0.5)
    assert (a["gap_mean_days"], a["streak_max_days"], a["active_days_total"]) == (2.0, 1, 2)


@autumn
def test_24_hours_can_lie_in_one_day(engine: Computes, sunday: Sunday) -> None:
    """From ten past midnight to ten past eleven in the evening of one Sunday."""
    night = sunday.day + 10 * MINUTE
    a = seen(engine, sunday, [night, night + DAY])
    assert (a["sunday_share"], a["night_share"], a["evening_share"]) == (1.0, 0.5, 0.5)
    assert (a["gap_mean_days"], a["streak_max_days"], a["active_days_total"]) == (None, 1, 1)


@steady
def test_without_a_change_24_hours_are_one_day_apart(engine: Computes, sunday: Sunday) -> None:
    for instant in (sunday.day - 30 * MINUTE, sunday.day + 10 * MINUTE):
        a = seen(engine, sunday, [instant, instant + DAY])
        assert (a["gap_mean_days"], a["streak_max_days"], a["active_days_total"]) == (1.0, 2, 2)


@spring
def test_a_session_across_the_lost_hour_is_as_long_as_it_took(
    engine: Computes, sunday: Sunday
) -> None:
    """Ten to two and ten past three on the wall are 20 minutes apart: one session of 20 minutes
    in two parts of the day, before three and from three on."""
    assert sunday.change is not None
    a = seen(engine, sunday, [sunday.change - 10 * MINUTE, sunday.change + 10 * MINUTE])
    assert (a["sessions_total"], a["session_minutes_max"], a["night_share"]) == (1, 20.0, 1.0)
    assert a["hour_entropy"] == pytest.approx(1.0)


@autumn
def test_a_session_across_the_repeated_hour_is_as_long_as_it_took(
    engine: Computes, sunday: Sunday
) -> None:
    """Ten to the hour, then ten past the hour before on the wall: 20 minutes, one session."""
    assert sunday.change is not None
    a = seen(engine, sunday, [sunday.change - 10 * MINUTE, sunday.change + 10 * MINUTE])
    assert (a["sessions_total"], a["session_minutes_max"]) == (1, 20.0)
    assert (a["active_days_total"], a["night_share"], a["hour_entropy"]) == (1, 1.0, 0.0)


@autumn
def test_one_time_on_the_wall_twice_is_an_hour_apart(engine: Computes, sunday: Sunday) -> None:
    """Half past, and half past again an hour later: two sessions, though the wall says the same."""
    assert sunday.change is not None
    a = seen(engine, sunday, [sunday.change - 30 * MINUTE, sunday.change + 30 * MINUTE])
    assert (a["sessions_total"], a["session_bounce_share"], a["hour_entropy"]) == (2, 1.0, 0.0)


@every
def test_windows_are_hours_and_not_dates(engine: Computes, sunday: Sunday) -> None:
    """Seven times 24 hours before Wednesday noon is eleven or one o'clock where a change lies
    between; the edge itself is in, and the age of the event is seven days to the microsecond."""
    wait = sunday.hours * HOUR + 60 * HOUR
    edge = sunday.day + wait - 7 * DAY
    a = seen(engine, sunday, [edge, edge - MICRO], wait)
    assert (a["events_7d"], a["recency_days"]) == (1, 7.0)
    # Noon a week ago by the calendar is 167, 169 or 168 hours ago.
    noon = sunday.day - 84 * HOUR
    b = seen(engine, sunday, [noon], wait)
    assert b["recency_days"] == pytest.approx((sunday.hours + 144) / 24)
    assert b["events_7d"] == int(sunday.hours <= 24)


@pytest.mark.parametrize(
    ("zone", "days", "weekday"),
    [("Asia/Shanghai", 2, "monday"), ("America/Los_Angeles", 1, "sunday"), ("UTC", 1, "sunday")],
)
def test_east_and_west_of_greenwich_have_dates_of_their_own(
    engine: Computes, zone: str, days: int, weekday: str
) -> None:
    """Sunday the 14th of January 2024, 15:30 and 16:30 UTC: half past eleven at night and half
    past midnight in UTC+8, half past seven and eight in the morning in UTC-8."""
    log = [at(utc("2024-01-14 15:30")), at(utc("2024-01-14 16:30"))]
    [a] = engine(log, [utc("2024-01-20 00:00")], replace(FULL, timezone=zone), {}).values()
    assert (a["active_days_total"], a["sessions_total"]) == (days, 2)
    assert a[f"{weekday}_share"] == 1 / days
    parts = {"Asia/Shanghai": ("evening", "night"), "America/Los_Angeles": ("morning",)}
    for part in parts.get(zone, ("afternoon",)):
        assert a[f"{part}_share"] == 1 / days
