"""Tracking faults worked by hand, one a log, and logs that have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from oracles.retention_world import settings_in, write_store
from oracles.tracking_cases import Case, cases_in

from events.quality import quality

CASES = cases_in(Path(__file__).parent / "cases" / "quality.toml")
NAMES = {"first": "first_day", "last": "last_day"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Case, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, case.zone, **case.settings)
    found = quality(settings, write_store(settings, case.rows)).to_json()["findings"]
    assert len(found) == len(case.expect), [f["message"] for f in found]
    for finding, expected in zip(found, case.expect, strict=True):
        wanted = {"event": None, "channel": None, "property": None} | dict(expected)
        named = {NAMES.get(key, key): value for key, value in wanted.items()}
        shown = {key: finding[key] for key in named}
        for number in ("found", "expected"):
            if number in named:
                assert shown.pop(number) == pytest.approx(named.pop(number)), finding["message"]
        assert shown == named, finding["message"]


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40
