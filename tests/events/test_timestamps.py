"""Instants from text, against Python's own datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.timestamps import at_clock, detect, in_zone, parse_times
from runtime.errors import InputError

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31))  # as far as zones are known
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def _parse(texts: list[str], time_format: str, zone: str = "UTC") -> list[datetime | None]:
    frame = pl.DataFrame({"t": texts}, schema={"t": pl.String()})
    return frame.select(parse_times(pl.col("t"), time_format, zone))["t"].to_list()


def _detected(texts: list[str]) -> str | None:
    return detect(pl.Series(texts), "column 'ts'")


@settings(max_examples=30, deadline=None)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=5), zone=st.sampled_from(ZONES))
def test_iso_times_are_what_python_reads(moments: list[datetime], zone: str) -> None:
    texts = [moment.isoformat(sep=" ", timespec="microseconds") for moment in moments]
    found = _parse(texts, _detected(texts) or "", zone)
    assert found == [m.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for m in moments]


@settings(max_examples=20, deadline=None)
@given(moment=MOMENTS, hours=st.integers(-12, 12))
def test_an_offset_wins_over_the_zone(moment: datetime, hours: int) -> None:
    sign = "-" if hours < 0 else "+"
    text = f"{moment.isoformat(timespec='milliseconds')}{sign}{abs(hours):02d}:00"
    assert _parse([text], _detected([text]) or "", "Asia/Tokyo") == [
        datetime.fromisoformat(text).astimezone(UTC)
    ]


@settings(max_examples=20, deadline=None)
@given(moment=st.datetimes(datetime(2001, 9, 10), datetime(2199, 12, 31)))
def test_an_epoch_is_known_by_its_magnitude(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for name, divisor in (("epoch_s", 10**6), ("epoch_ms", 1000), ("epoch_us", 1)):
        texts = [str(microseconds // divisor)]
        assert _detected(texts) == name
        assert _parse(texts, name) == [moment - timedelta(microseconds=microseconds % divisor)]


@pytest.mark.parametrize(
    ("text", "time_format", "expected"),
    [
        ("2024-05-13", "%Y-%m-%d", "2024-05-13"),
        ("13.05.2024", "%d.%m.%Y", "2024-05-13"),
        ("13.05.24 17:30", "%d.%m.%y %H:%M", "2024-05-13 17:30"),
        ("13/05/2024", "%d/%m/%Y", "2024-05-13"),
        ("05/13/2024 5:30 PM", "%m/%d/%Y %I:%M %p", "2024-05-13 17:30"),
        ("5/13/2024 12:05:06 am", "%m/%d/%Y %I:%M:%S %p", "2024-05-13 00:05:06"),
        ("20240513", "%Y%m%d", "2024-05-13"),
        ("20240513173000", "%Y%m%d%H%M%S", "2024-05-13 17:30"),
        ("2024-05-13T17:30:00Z", "%Y-%m-%dT%H:%M:%S%.f%#z", "2024-05-13 17:30"),
        ("2024-05-13 17:30:00.25 UTC", "%Y-%m-%d %H:%M:%S%.f UTC", "2024-05-13 17:30:00.25"),
        ("13 May 2024", "%d %b %Y", "2024-05-13"),
        ("13/May/2024:17:30:00 +0200", "%d/%b/%Y:%H:%M:%S %#z", "2024-05-13 15:30"),
        ("1715621400.5", "epoch_s", "2024-05-13 17:30:00.5"),
        ("930513", "%y%m%d", "1993-05-13"),
        ("202405131730", "%Y%m%d%H%M", "2024-05-13 17:30"),
        ("29-Jun-17", "%d-%b-%y", "2017-06-29"),
        ("Mon May 13 17:30:09 +0200 2024", "%a %b %d %H:%M:%S %#z %Y", "2024-05-13 15:30:09"),
        ("978307200000", "epoch_ms", "2001-01-01"),
    ],
)
def test_formats_that_are_found(text: str, time_format: str, expected: str) -> None:
    assert _detected([text]) == time_format
    assert _parse([text], time_format) == [datetime.fromisoformat(expected).replace(tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "time_format", "zone", "expected"),
    [
        ("0", "days since 2016-01-01", "UTC", "2016-01-01T00:00+00:00"),
        ("711", "days since 2016-01-01", "UTC", "2017-12-12T00:00+00:00"),
        ("-20", "days since 2013-10-01", "UTC", "2013-09-11T00:00+00:00"),
        ("90061.5", "seconds since 2000-01-01", "UTC", "2000-01-02T01:01:01.5+00:00"),
        ("86400001", "milliseconds since 2000-01-01", "UTC", "2000-01-02T00:00:00.001+00:00"),
        ("45292.5", "days since 1899-12-30", "UTC", "2024-01-01T12:00+00:00"),
        ("100", "days since 2024-01-01", "Europe/Berlin", "2024-04-10T00:00+02:00"),
        ("3", "weeks since 2024-01-01", "UTC", "2024-01-22T00:00+00:00"),
        ("25", "hours since 2024-01-01", "UTC", "2024-01-02T01:00+00:00"),
        ("90", "minutes since 2024-01-01", "UTC", "2024-01-01T01:30+00:00"),
    ],
)
def test_numbers_count_from_a_date_on_the_zones_clock(
    text: str, time_format: str, zone: str, expected: str
) -> None:
    assert _parse([text, "soon", "", "inf", "1e300"], time_format, zone) == [
        datetime.fromisoformat(expected).astimezone(UTC),
        *[None] * 4,
    ]


@pytest.mark.parametrize(
    "day", [datetime(2024, 3, 31), datetime(2024, 10, 27), datetime(2024, 5, 1)]
)
def test_a_clock_on_a_day_is_the_zones_own(day: datetime) -> None:
    """Days on which the clocks change have not 24 hours."""
    berlin = ZoneInfo("Europe/Berlin")
    clock = timedelta(hours=16, minutes=31)
    frame = pl.DataFrame({"d": [day.replace(tzinfo=berlin).astimezone(UTC)], "c": [clock]})
    frame = frame.cast({"d": pl.Datetime("us", "UTC"), "c": pl.Duration("us")})
    found = frame.select(at_clock(pl.col("d"), pl.col("c"), "Europe/Berlin"))["d"][0]
    assert found == (day + clock).replace(tzinfo=berlin).astimezone(UTC)


def test_the_data_decide_between_day_and_month() -> None:
    assert _detected(["01/02/2024", "13/02/2024"]) == "%d/%m/%Y"
    assert _detected(["01/02/2024", "02/13/2024"]) == "%m/%d/%Y"
    assert _detected(["01/02/2024", "03/04/2024"]) is None
    assert _detected(["01/01/2024"]) is None  # the next one would be read by a guess


def test_what_is_no_time_is_said_with_an_example() -> None:
    with pytest.raises(InputError, match=r"column 'ts': no known time format.*'soon'.*time_format"):
        _detected(["soon", "later"])


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.integers(-300, 300),
    change=st.sampled_from([datetime(2024, 3, 31, 2), datetime(2024, 10, 27, 3)]),
)
def test_clock_changes_follow_the_first_fold(minutes: int, change: datetime) -> None:
    """A time that occurs twice is its first; one that never occurs keeps the earlier offset."""
    local = change + timedelta(minutes=minutes)
    frame = pl.DataFrame({"t": [local]}, schema={"t": pl.Datetime("us")})
    found = frame.select(in_zone(pl.col("t"), "Europe/Berlin"))["t"][0]
    assert found == local.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=0).astimezone(UTC)


def test_a_day_that_a_zone_skipped_moves_on() -> None:
    frame = pl.DataFrame({"t": [datetime(2011, 12, 30, 12)]}, schema={"t": pl.Datetime("us")})
    found = frame.select(in_zone(pl.col("t"), "Pacific/Apia"))["t"][0]
    assert found == datetime(2011, 12, 30, 12, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)
