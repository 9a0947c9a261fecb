"""Times of day from text, against Python's own."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_tools import ingested, table

from events.time_of_day import parse_clock

COLUMNS = {"user_id": "who", "ts": "day", "clock": "at"}


def _parsed(text: str) -> timedelta | None:
    return pl.DataFrame({"t": [text]}).select(parse_clock(pl.col("t")))["t"][0]


@settings(max_examples=60, deadline=None)
@given(clock=st.times())
def test_every_way_to_write_a_time_of_day(clock: time) -> None:
    to_minute = timedelta(hours=clock.hour, minutes=clock.minute)
    to_second = to_minute + timedelta(seconds=clock.second)
    written = {
        f"{clock:%H:%M}": to_minute,
        f"{clock:%I:%M %p}": to_minute,
        f"{clock:%I:%M:%S%p}": to_second,
        f" {clock:%H:%M:%S} ": to_second,
        f"{clock:%H:%M:%S.%f}": to_second + timedelta(microseconds=clock.microsecond),
        f"{clock.hour}:{clock:%M}": to_minute,
        str(100 * clock.hour + clock.minute): to_minute,
        f"{clock:%H%M%S}": to_second,
    }
    assert {text: _parsed(text) for text in written} == written


@pytest.mark.parametrize(
    "text", ["", "24:00", "2400", "1260", "12:60", "126060", "noon", "-5", "1.5"]
)
def test_what_is_none(text: str) -> None:
    assert _parsed(text) is None


def test_a_date_and_a_clock_make_one_instant(tmp_path: Path) -> None:
    content = "who,day,at\nu,1,1631\nu,2,5\nu,3,\nu,4,2560\n"
    result, events = ingested(
        tmp_path, content, columns=COLUMNS, time_format="days since 2016-01-01"
    )
    assert [f"{ts:%Y-%m-%d %H:%M}" for ts in events["ts"]] == [
        "2016-01-02 16:31",
        "2016-01-03 00:05",
    ]
    assert set(events["properties"]) == {None}
    assert result.quarantined == 2
    assert sorted(table(tmp_path, "quarantine")["reason"]) == [
        "the time of day in 'at' is empty",
        "unreadable time of day '2560' in 'at'; expected 16:31 or 1631",
    ]
