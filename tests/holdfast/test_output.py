"""What is printed for people."""

from __future__ import annotations

import pytest

from holdfast.output import print_fields


def test_sentences_stand_one_a_line_and_words_side_by_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_fields("Title", {"notes": ["first, with a comma", "second"], "kinds": ["a", "b"]})
    cells = [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines()[2:-1]]
    assert cells == ["first, with a comma", "second", "a, b"]
