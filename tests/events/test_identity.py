"""Ids that are not those of users, or that split one, are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from oracles.retention_world import at, settings_in, write_store

from events import identity
from events.contract import TIME
from events.findings import Finding
from events.identity import user_findings


def found_in(folder: Path, ids: list[str], rows: int) -> list[Finding]:
    start = at("2024-01-01T00:00:00")
    log = pl.DataFrame(
        {
            "user_id": [ids[n % len(ids)] for n in range(rows)],
            "ts": pl.Series([start + timedelta(minutes=n) for n in range(rows)], dtype=TIME),
            "event": ["view"] * rows,
        }
    )
    return user_findings(write_store(settings_in(folder), log, buckets=5))


def test_thousands_of_rows_of_a_handful_of_users_are_told(tmp_path: Path) -> None:
    (one,) = found_in(tmp_path, ["donation", "newsletter", "refund"], 3_000)
    assert (one.kind, one.severity, one.found) == ("users", "warning", 3)
    assert "3,000 rows are of 3 users: is columns.user_id another column" in one.message


@pytest.mark.parametrize(("users", "rows"), [(21, 3_000), (3, 1_999)])
def test_a_team_or_a_short_log_is_not(tmp_path: Path, users: int, rows: int) -> None:
    assert found_in(tmp_path, [f"u{n}" for n in range(users)], rows) == []


def test_ids_that_differ_only_in_case_are_told_with_two_of_them(tmp_path: Path) -> None:
    ids = [f"Kd-{n}" for n in range(50)] + ["KD-7", "kd-7", "kd-9", "Ärzte", "ärzte"]
    (one,) = found_in(tmp_path, ids, 400)
    assert (one.kind, one.severity, one.found) == ("case", "warning", 7)
    assert one.message.startswith(
        "7 ids differ from another only in case, as 'KD-7' and 'Kd-7': each counts as a user"
    )


def test_a_sample_of_a_large_log_tells_both_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One id in five is looked at: about as many are told, and no user is lost to the count."""
    monkeypatch.setattr(identity, "MOST_ROWS", 700)
    ids = [f"{case}{n}" for n in range(500) for case in "ab"] + [f"A{n}" for n in range(500)]
    (one,) = found_in(tmp_path / "many", ids, 3_000)
    assert one.kind == "case"
    assert one.found == pytest.approx(1_000, rel=0.2)
    assert one.message.startswith("about ")
    (one,) = found_in(tmp_path / "few", ["a", "b", "c"], 3_000)
    assert (one.kind, one.found) == ("users", 3)
