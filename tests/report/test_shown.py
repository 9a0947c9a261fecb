"""Numbers and nouns as people read them, and as the page's script says them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from report.parts import Kind
from report.shown import day, instant, part_of, shown
from report.words import words_of

WORDS = words_of("en")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (4.06, "factor", "4.1×"),
        (0.04, "factor", "0.04×"),
        (0.0, "factor", "0.0×"),
        (-0.0001, "share", "0.0\u202f%"),
        (-0.0001, "number", "0.000"),
        (-1234.5, "money", "-1,235"),
        (86_400.0, "duration", "1 day"),
        (129_600.0, "duration", "1.5 days"),
    ],
)
def test_numbers(value: float, kind: Kind, text: str) -> None:
    assert shown(value, kind, WORDS) == text


@pytest.mark.parametrize(
    ("key", "blanks", "english"),
    [
        (
            "risk.told_all",
            {"users": "1", "high": "1", "share": "100 %"},
            "1 user is scored; 1 of them (100 %) is at high risk.",
        ),
        (
            "risk.told_all",
            {"users": "1,001", "high": "0", "share": "0 %"},
            "1,001 users are scored; 0 of them (0 %) are at high risk.",
        ),
        ("defined.churn_passive", {"days": 1}, "Churn: no activity for 1 day"),
        ("defined.churn_passive", {"days": 30}, "Churn: no activity for 30 days"),
        ("tracking.volume_told", {"days": "1", "events": "2"}, "1 day and 2 kinds of events."),
    ],
)
def test_nouns_agree_with_their_counts(key: str, blanks: dict[str, Any], english: str) -> None:
    assert WORDS(key, **blanks) == english
    chinese = words_of("zh")(key, **blanks)
    assert "|" not in chinese
    assert all(str(value) in chinese for value in blanks.values())


def test_what_is_left_out_is_said() -> None:
    assert part_of(20, 1547, WORDS) == "The first 20 of 1,547."
    assert part_of(20, 20, WORDS) == ""


def test_a_day_is_the_projects() -> None:
    midnight = datetime(2024, 3, 1, 21, tzinfo=UTC)
    assert day(midnight, "Europe/Moscow") == instant(midnight, "Europe/Moscow") == "2024-03-02"
    assert day(midnight, "UTC") == "2024-03-01"
    assert instant(midnight, "UTC") == "2024-03-01 21:00 UTC"


def test_sentences_keep_what_the_log_says() -> None:
    """Names with braces and bars are values, not sentences."""
    name = json.dumps({"{users:user|users}": "a|b"})
    assert name in WORDS("funnel.told_none", first=name)
