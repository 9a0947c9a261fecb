"""How the log came together: files that came afterwards, rows that came twice, numbers that
never came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from ingest_tools import COLUMNS, put, settings_in
from oracles.retention_world import settings_in as store_settings
from oracles.retention_world import write_store

from events.erase import erase
from events.ingest import ingest
from events.numbers import gap_findings, gaps_in
from events.quality import quality
from events.store import open_store
from runtime.settings import Settings

TOP = "id,user,ts,what,paid\n"
START = datetime(2024, 3, 1, tzinfo=UTC)


def lines(days: range, first_id: int) -> str:
    """Twenty rows a day."""
    rows = []
    for day in days:
        at = (START + timedelta(days=day, hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        rows += [f"{first_id + 20 * day + k},u{k},{at},view,\n" for k in range(20)]
    return "".join(rows)


def told(settings: Settings, kind: str) -> list[tuple[str, str | None, float]]:
    found = quality(settings, open_store(settings)).findings
    return [(f.severity, f.channel, f.found) for f in found if f.kind == kind]


def test_a_file_of_days_that_another_covers_came_afterwards(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, path="log*.csv", columns=COLUMNS)
    put(tmp_path, "log.csv", TOP + lines(range(60), 0))
    put(tmp_path, "log-more.csv", TOP + lines(range(20, 25), 10_000))
    ingest(settings)
    (found,) = [f for f in quality(settings, open_store(settings)).findings if f.kind == "late"]
    assert (found.severity, found.found) == ("info", 100)
    assert (str(found.first_day), str(found.last_day)) == ("2024-03-21", "2024-03-25")
    assert "in a file of their own (log-more.csv)" in found.message


def test_in_a_later_ingest_it_is_late_for_certain(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, path="log*.csv", columns=COLUMNS)
    put(tmp_path, "log.csv", TOP + lines(range(60), 0))
    ingest(settings)
    put(tmp_path, "log-more.csv", TOP + lines(range(20, 25), 10_000))
    ingest(settings)
    assert [severity for severity, _, _ in told(settings, "late")] == ["warning"]
    early = open_store(settings, START + timedelta(days=22))
    assert [f for f in quality(settings, early).findings if f.kind == "late"] == []


def test_files_of_a_day_each_are_not_late(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, path="log*.csv", columns=COLUMNS)
    for day in range(10):
        put(tmp_path, f"log-{day}.csv", TOP + lines(range(day, day + 1), 0))
        ingest(settings)
    assert told(settings, "late") == []


def test_rows_that_came_twice_are_counted_by_source(tmp_path: Path) -> None:
    """By hand: 1,200 rows, 100 of them again: 100 / 1,300."""
    settings = settings_in(tmp_path, columns=COLUMNS, events={"deduplicate": "event_id"})
    put(tmp_path, "log.csv", TOP + lines(range(60), 0) + lines(range(5), 0))
    ingest(settings)
    ((severity, _, share),) = told(settings, "duplicates")
    assert severity == "info"
    assert share == pytest.approx(100 / 1300, abs=1e-4)
    erase(settings, ["u3"])
    assert told(settings, "duplicates") == []


def test_a_file_that_has_grown_has_no_duplicates(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, columns=COLUMNS, events={"deduplicate": "event_id"})
    for days in (30, 60):
        put(tmp_path, "log.csv", TOP + lines(range(days), 0))
        ingest(settings)
    assert told(settings, "duplicates") == []


def numbered(missing: set[int], count: int = 6000) -> pl.DataFrame:
    ids = [n for n in range(count) if n not in missing]
    ts = [START + timedelta(minutes=n) for n in ids]
    users = [f"u{n % 50}" for n in ids]
    frame = pl.DataFrame({"user_id": users, "ts": ts, "event": "view", "event_id": ids})
    return frame.with_columns(
        pl.col("event_id").cast(pl.String), pl.col("ts").cast(pl.Datetime("us", "UTC"))
    )


def test_numbers_that_never_came(tmp_path: Path) -> None:
    """Every hundredth is missing; that a run of 500 is, is how numbers are handed out."""
    log = numbered(set(range(50, 6000, 100)) | set(range(1000, 1500)))
    source = {"name": "log", "path": "x.csv"}
    columns = {"user_id": "u", "ts": "t", "event_id": "i"}
    settings = store_settings(tmp_path, source=[source | {"columns": columns}])
    (found,) = gap_findings(settings, write_store(settings, log))
    assert (found.kind, found.channel) == ("gaps", "log")
    assert found.found == pytest.approx(0.01, abs=0.002)


def test_gaps_by_hand() -> None:
    """Numbers 1 2 4 5 6 8 of one channel, minutes apart; 20 stands alone.

    Between two rows lie 3 (gone), 5 (there) and 7 (gone); 2-4 is a gap, 4-6 is whole, 6-8 a gap.
    """
    ids = [1, 2, 4, 5, 6, 8, 20]
    rows = pl.DataFrame({"id": ids, "ts": [n * 60_000_000 for n in ids], "channel": ["app"] * 7})
    assert gaps_in(rows).rows() == [("app", 2, 3)]
