"""Days that lie beyond the end of the log were named in advance; filled-in ones never do."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ingest_tools import put

from events.propose import propose
from runtime.settings import load_settings

BEGIN = datetime(2024, 1, 1)
DAYS, ROWS = 300, 3_000
END = BEGIN + timedelta(days=DAYS)
Value = Callable[[datetime, random.Random], datetime | None]


def fixed(at: datetime, drawn: random.Random) -> datetime:
    return at + timedelta(days=drawn.expovariate(1 / 20) + 1)


def filled_in(at: datetime, drawn: random.Random) -> datetime | None:
    day = fixed(at, drawn)
    return day if day < END else None


def same_day(at: datetime, drawn: random.Random) -> datetime:
    return at + timedelta(hours=drawn.uniform(1, 12))


def before(at: datetime, drawn: random.Random) -> datetime:
    return at - timedelta(days=drawn.uniform(1, 90))


def _proposed(folder: Path, **columns: Value) -> tuple[tuple[str, ...] | None, str]:
    drawn = random.Random(0)
    lines = []
    for n in range(ROWS):
        at = BEGIN + timedelta(days=DAYS * n / ROWS)
        days = [value(at, drawn) for value in columns.values()]
        told = [f"{day:%m/%d/%Y}" if day else "" for day in days]
        lines.append(",".join([f"u{drawn.randrange(200)}", f"{at:%Y-%m-%d %H:%M:%S}", *told]))
    text = ",".join(["user_id", "time", *columns]) + "\n" + "\n".join(lines)
    target = folder / "holdfast.toml"
    shown = propose([put(folder, "log.csv", text)], target)
    target.write_text(shown, encoding="utf-8")
    return load_settings(target).features.deadlines, shown


@pytest.mark.parametrize("value", [filled_in, same_day, before])
def test_days_that_nothing_tells_of_are_no_deadlines(tmp_path: Path, value: Value) -> None:
    found, shown = _proposed(tmp_path, check_in=value)
    assert found is None
    assert "[features]" not in shown


def test_days_beyond_the_end_are_named_in_advance(tmp_path: Path) -> None:
    found, shown = _proposed(tmp_path, check_in=fixed, arrival=filled_in)
    assert found == ("check_in",)
    assert "beyond the log's end" in shown


def test_those_with_a_name_that_says_so_are_kept_beside_them(tmp_path: Path) -> None:
    found, _ = _proposed(tmp_path, check_in=fixed, paid_until=filled_in)
    assert found == ("paid_until", "check_in")


def test_names_alone_need_no_setting(tmp_path: Path) -> None:
    assert _proposed(tmp_path, paid_until=fixed)[0] is None


@pytest.mark.parametrize("name", ["delivered", "shipped_on", "ship_date", "end_date"])
def test_names_of_what_has_happened_are_asked_about(tmp_path: Path, name: str) -> None:
    found, shown = _proposed(tmp_path, **{name: fixed})
    assert found is None
    assert f'Beyond the log\'s end lies ["{name}"] too' in shown


def test_every_other_row_may_have_none(tmp_path: Path) -> None:
    def some(at: datetime, drawn: random.Random) -> datetime | None:
        return fixed(at, drawn) if drawn.random() < 0.3 else None

    assert _proposed(tmp_path, check_in=some)[0] == ("check_in",)
