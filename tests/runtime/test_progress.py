"""Progress where standard error is no terminal: a line now and then, and none too many."""

from __future__ import annotations

import pytest

from runtime import progress as shown
from runtime.counted import counted
from runtime.progress import note, progress, tell


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 3, "files", "rows") as advance:
        note(1_000)
        advance()
        assert capsys.readouterr().err == ""
        clock[0] += 31
        note(2_500)
        assert capsys.readouterr().err == "reading: 1 of 3 files, 3,500 rows\n"
        clock[0] += 29
        advance()
        assert capsys.readouterr().err == ""
        clock[0] += 2
        advance()
        assert capsys.readouterr().err == "reading: 3 of 3 files, 3,500 rows\n"


def test_without_a_total_or_a_count(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("looking", None) as advance:
        clock[0] += 40
        advance(2)
    assert capsys.readouterr().err == "looking: 2 buckets\n"


def test_one_is_no_more_than_one(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 1, "files", "rows") as advance:
        note(1)
        clock[0] += 31
        advance()
    assert capsys.readouterr().err == "reading: 1 of 1 file, 1 row\n"


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 users"), (1, "1 user"), (1.0, "1 user"), (2000, "2,000 users")]
)
def test_a_count_in_words(number: float, words: str) -> None:
    assert counted(number, "users") == words


def test_to_note_where_nothing_is_shown_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    note(5)
    assert capsys.readouterr().err == ""


def test_work_that_tells_how_it_goes_also_says_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("training", 40, "steps", "events") as advance:
        tell("loss 0.7")
        note(300)
        clock[0] += 31
        tell("loss 0.5, 10 events/s")
        advance(10)
    told = "training: 10 of 40 steps, 300 events, loss 0.5, 10 events/s, 0:01:33 left\n"
    assert capsys.readouterr().err == told
    tell("nothing")
    assert capsys.readouterr().err == ""
