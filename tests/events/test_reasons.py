"""Kinds of reasons: what is told of many refused rows, whatever their values."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from ingest_tools import HEAD, ingested

from events.reasons import kinds_of, remedy

KINDS = {
    "amount 'it's 3' in 'pa'id' is not a number": "amount '…' in 'pa'id' is not a number",
    "amount 'NaN' in 'paid' is not finite": "amount '…' in 'paid' is not finite",
    "unreadable time of day '9\n9' in 'at'; expected 16:31 or 1631": "unreadable time of day '…' "
    "in 'at'; expected 16:31 or 1631",
    "time '1' in 'at' is before events.earliest, 1970-01-01": "time '…' in 'at' is before "
    "events.earliest, 1970-01-01",
    "user id 1e300 in 'who' is a float beyond 9007199254740992, inexact": "user id … in 'who' is "
    "a float beyond 9007199254740992, inexact",
    "the user id in 'who' is empty": "the user id in 'who' is empty",
    "'price' times 'pieces' is not finite": "'price' times 'pieces' is not finite",
    "2 fields where 5 are expected": "… fields where 5 are expected",
    "not JSON: Expecting value: line 1 column 9 (char 8)": "not JSON: …",
    "a line of 1,048,577 bytes; the longest that is read has 1,048,576": "a line of … bytes; the "
    "longest that is read has 1,048,576",
}


def test_a_kind_is_a_reason_without_the_rows_own_value() -> None:
    rows = pl.LazyFrame({"source": "log", "file": "a.csv", "reason": list(KINDS)})
    found = kinds_of(rows)
    assert dict(found.select("example", "reason").iter_rows()) == KINDS


def test_ingest_says_in_one_line_what_most_rows_were_refused_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [f"{n},u,2024-03-01 10:00:0{n},buy,1" for n in range(6)]
    bad = [f"{n},u,2024-03-01 10:00:00,buy,about {n}" for n in range(10, 13)]
    result, _ = ingested(tmp_path, "\n".join([HEAD + good[0], *good[1:], *bad, "x,,,,"]) + "\n")
    assert result.quarantined == 4
    told = [line for line in capsys.readouterr().err.splitlines() if "quarantine" in line]
    assert len(told) == 1
    assert told[0].startswith("source 'log': 40.0% of its rows (4 of 10) are in quarantine, 3 of")
    assert "amount 'about 10' in 'paid' is not a number; see decimal" in told[0]


def test_ingest_says_nothing_of_a_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [f"{n},u{n},2024-03-01 10:00:00,buy,1" for n in range(97)]
    bad = [f"{n},u,2024-03-01 10:00:00,buy,about {n}" for n in range(100, 103)]
    result, _ = ingested(tmp_path, "\n".join([HEAD + good[0], *good[1:], *bad]) + "\n")
    assert result.quarantined == 3
    assert "quarantine" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("unreadable time '…' in 'at'; expected %Y", "time_format"),
        ("the user id in 'who' is empty", "null_values"),
        ("… fields where 5 are expected", "delimiter"),
        ("not UTF-8 text", "encoding"),
        ("the event in 'what' is empty", "constants.event"),
        ("not JSON: …", "the layout"),
    ],
)
def test_each_kind_has_a_remedy(reason: str, key: str) -> None:
    assert key in remedy(reason)
