"""Text of other encodings, and delimiters of several characters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_tools import ingested, put, table

from events.lines import blocks

COLUMNS = {"user_id": "wer", "ts": "am", "event": "was"}
TEXT = "wer;am;was\nJosé;2024-03-01;geprüft – 5 €\nZoë;2024-03-02;größer\n"


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "utf-16-be", "utf-8-sig", "utf-8"])
def test_each_encoding_is_read_as_it_was_written(tmp_path: Path, encoding: str) -> None:
    _, events = ingested(tmp_path, TEXT.encode(encoding), columns=COLUMNS, encoding=encoding)
    assert events["user_id"].to_list() == ["José", "Zoë"]
    assert events["event"].to_list() == ["geprüft – 5 €", "größer"]


def test_utf16_is_known_by_its_mark(tmp_path: Path) -> None:
    _, events = ingested(tmp_path, TEXT.encode("utf-16"), columns=COLUMNS)
    assert events["user_id"].to_list() == ["José", "Zoë"]


def test_a_sign_that_the_encoding_lacks_costs_its_row_alone(tmp_path: Path) -> None:
    content = TEXT.encode("windows-1252") + b"a;2024-03-03;\x81\n"
    result, events = ingested(tmp_path, content, columns=COLUMNS, encoding="windows-1252")
    assert (result.quarantined, len(events)) == (1, 2)
    assert table(tmp_path, "quarantine")["line"].to_list() == [4]


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), max_size=60
    ),
    block=st.integers(1, 9),
)
def test_blocks_of_any_size_hold_the_same_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = put(tmp_path_factory.mktemp("e"), "a.txt", text.encode("utf-16"))
    read = b"".join(part.data for part in blocks(path, None, block))
    whole = text if text.endswith("\n") or not text else text + "\n"
    assert read.decode() == whole


def test_a_delimiter_of_two_characters(tmp_path: Path) -> None:
    content = "u1::2024-03-01::a:b\nu2::2024-03-02::c\nu3::2024-03-03\n"
    names = list(COLUMNS.values())
    result, events = ingested(
        tmp_path, content, columns=COLUMNS, delimiter="::", header=False, names=names
    )
    assert events["event"].to_list() == ["a:b", "c"]
    assert result.quarantined == 1
    good = "".join(f"u{n}::2024-03-01::a:b\n" for n in range(9))
    result, _ = ingested(tmp_path / "found", good, columns=COLUMNS, header=False, names=names)
    assert result.rows_added == 9
