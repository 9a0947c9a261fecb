"""Clock, files, lock, devices, foreign errors."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import end_of_local_day, parse_instant, show
from runtime.device import decide
from runtime.errors import OutputError, StoreError, UsageError, from_foreign
from runtime.files import (
    check_file,
    digest_file,
    digest_of,
    make_folder,
    write_atomic,
    write_text,
)
from runtime.lock import writing_to


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2024-03-10", "UTC", "2024-03-10"),
        ("2024-03-10", "Asia/Shanghai", "2024-03-09T16:00:00Z"),
        ("2024-03-10", "America/New_York", "2024-03-10T05:00:00Z"),
        ("2024-03-11", "America/New_York", "2024-03-11T04:00:00Z"),  # after the change of clocks
        ("2024-03-10T12:00:00", "Asia/Shanghai", "2024-03-10T04:00:00Z"),
        ("2024-03-10T12:00:00+02:00", "Asia/Shanghai", "2024-03-10T10:00:00Z"),
        ("2024-03-10T12:00:00Z", "Asia/Shanghai", "2024-03-10T12:00:00Z"),
    ],
)
def test_an_instant_is_read_in_its_zone(text: str, zone: str, expected: str) -> None:
    assert show(parse_instant(text, zone)) == expected


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "", "31.01.2024"])
def test_an_unreadable_instant_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="neither a date nor an instant"):
        parse_instant(text)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_a_shown_instant_reads_back(moment: datetime) -> None:
    instant = moment.replace(tzinfo=UTC)
    assert parse_instant(show(instant)) == instant


def test_the_day_of_a_clock_change_has_23_hours() -> None:
    start = parse_instant("2024-03-10", "America/New_York")
    end = end_of_local_day(start, "America/New_York")
    assert (end - start).total_seconds() == 23 * 3600


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a" / "file.txt", "old")

    def half(draft: Path) -> None:
        draft.write_text("ne")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomic(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        make_folder(tmp_path / "x")


def test_digests() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_digest_of_a_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "f", "abc")
    assert digest_file(path).startswith("ba7816bf8f01cfea")


def test_a_second_writer_is_refused_and_the_first_named(tmp_path: Path) -> None:
    with (
        writing_to(tmp_path),
        pytest.raises(StoreError, match=str(os.getpid())),
        writing_to(tmp_path),
    ):
        pass
    with writing_to(tmp_path):
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (RuntimeError("Generic LocalFileSystem error: os error 28"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), "/x/y: cannot be written"),
    ],
)
def test_a_library_s_error_becomes_the_user_s(error: Exception, words: str) -> None:
    try:
        raise ValueError("wrapped") from error
    except ValueError as wrapped:
        known = from_foreign(wrapped, "store")
    assert isinstance(known, OutputError)
    assert words in str(known)


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    error = OSError(errno.ENOENT, "No such file or directory")
    error.__cause__ = error
    assert from_foreign(error, "x") is None


@pytest.mark.parametrize("path", ["/proc/x.txt", "/proc/x/y.txt"])
def test_where_no_file_can_be_the_path_is_named_not_its_draft(path: str) -> None:
    for put in (lambda there: write_text(there, "text"), lambda there: check_file(there, "--out")):
        with pytest.raises(OutputError, match=r"^/proc/x[^:]*: nothing can be put there \(No such"):
            put(Path(path))


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(OutputError, match=r"x\.txt: nothing can be put there \(Is a directory\)"):
        write_text(tmp_path / "x.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    check_file(tmp_path / "a" / "b" / "x.txt", "--out")
    assert not any(tmp_path.iterdir())


def test_our_own_fault_is_not_disguised() -> None:
    assert from_foreign(ValueError("odd"), "x") is None


def test_the_device_comes_with_its_reason() -> None:
    assert decide("cpu").kind == "cpu"
    device = decide("auto")
    assert device.reason
    if device.kind == "cpu":
        with pytest.raises(UsageError, match="use --device cpu"):
            decide("gpu")
