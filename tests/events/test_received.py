"""When an event became known: read, checked, and nothing is seen before it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_tools import COLUMNS, put, settings_in, table

from events.ingest import ingest
from events.store import open_store
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import InputError

CPU = Device("cpu", "test")
TOP = "id,user,ts,what,paid,seen\n"
EARLY = "1,u,2024-03-01 10:00:00,view,,2024-03-01 10:05:00\n"
LATE = "2,u,2024-03-02 10:00:00,view,,2024-03-09 00:00:00\n"
AT_ONCE = "3,v,2024-03-03 10:00:00,view,,\n"


def _settings(folder: Path, **changes: Any) -> Any:
    columns = COLUMNS | {"received": "seen"}
    return settings_in(folder, columns=columns, **changes)


def _known(folder: Path, as_of: datetime | None) -> list[str]:
    store = open_store(_settings(folder), as_of)
    by_bucket = pl.concat([collect(store.scan(b), CPU) for b in store.buckets])
    whole = collect(store.scan_all(), CPU)
    assert sorted(by_bucket["event_id"]) == sorted(whole["event_id"])
    return sorted(whole["event_id"])


def test_an_event_is_known_from_its_arrival_on(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", TOP + EARLY + LATE + AT_ONCE)
    ingest(_settings(tmp_path))
    assert _known(tmp_path, datetime(2024, 3, 9, tzinfo=UTC)) == ["1", "3"]
    assert _known(tmp_path, datetime(2024, 3, 9, 0, 0, 1, tzinfo=UTC)) == ["1", "2", "3"]
    assert _known(tmp_path, datetime(2024, 3, 1, 11, tzinfo=UTC)) == ["1"]
    assert _known(tmp_path, None) == ["1", "2", "3"]
    store = open_store(_settings(tmp_path))
    assert store.as_of == datetime(2024, 3, 9, 0, 0, 0, 1, tzinfo=UTC)
    assert store.covered_until == datetime(2024, 3, 4, tzinfo=UTC)
    # What arrived after the as-of says nothing of when the log ends, either.
    early = open_store(_settings(tmp_path), datetime(2024, 3, 2, 12, tzinfo=UTC))
    assert early.covered_until == datetime(2024, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("soon", "unreadable arrival 'soon' in 'seen'; expected %Y-%m-%d"),
        ("1960-01-01 00:00:00", "arrival '1960-01-01 00:00:00' in 'seen' is before"),
        ("2300-01-01 00:00:00", "arrival '2300-01-01 00:00:00' in 'seen' is not before"),
    ],
)
def test_an_arrival_that_cannot_be_read_is_quarantined(
    tmp_path: Path, seen: str, words: str
) -> None:
    put(tmp_path, "log.csv", TOP + EARLY + f"9,u,2024-03-01 10:00:00,view,,{seen}\n")
    assert ingest(_settings(tmp_path)).quarantined == 1
    assert words in table(tmp_path, "quarantine")["reason"][0]


def test_it_has_a_time_format_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", TOP + "1,u,13/02/2024 10:00,view,,1707818400\n")
    ingest(_settings(tmp_path, timezone="Europe/Berlin"))
    row = table(tmp_path).row(0, named=True)
    assert row["ts"] == datetime(2024, 2, 13, 9, tzinfo=UTC)
    assert row["received"] == datetime(2024, 2, 13, 10, tzinfo=UTC)
    put(tmp_path / "b", "log.csv", TOP + "1,u,2024-02-13,view,,01/02/2024\n")
    with pytest.raises(InputError, match=r"'seen': '01/02/2024' .* set received_format = "):
        ingest(_settings(tmp_path / "b"))
    ingest(_settings(tmp_path / "b", received_format="%d/%m/%Y"))
    assert table(tmp_path / "b")["received"][0] == datetime(2024, 2, 1, tzinfo=UTC)


def test_a_file_without_arrivals_settles_no_format(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", TOP + AT_ONCE)
    ingest(_settings(tmp_path))
    put(tmp_path, "b.csv", TOP + EARLY)
    assert ingest(_settings(tmp_path)).quarantined == 0
    assert table(tmp_path)["received"].null_count() == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_first_arrival_of_an_event_counts(tmp_path: Path, order: tuple[int, ...]) -> None:
    same = "1,u,2024-03-01 10:00:00,view,,"
    rows = [same + "2024-03-05\n", same + "2024-03-04\n", same + "2024-03-06\n"]
    put(tmp_path, "log.csv", TOP + "".join(rows[i] for i in order))
    assert ingest(_settings(tmp_path)).duplicates == 2
    assert table(tmp_path)["received"].to_list() == [datetime(2024, 3, 4, tzinfo=UTC)]
    put(tmp_path, "again.csv", TOP + same + "2024-03-07\n")
    assert ingest(_settings(tmp_path)).rows_added == 0
    put(tmp_path / "null", "log.csv", TOP + rows[0] + same + "\n")
    ingest(_settings(tmp_path / "null"))
    assert table(tmp_path / "null")["received"].to_list() == [None]
