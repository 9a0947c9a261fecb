"""What stands for 'none' in a column of text, beside a naive rule."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ingest_tools import put

from events.columns import SPACES, nulled
from events.propose import propose
from runtime.settings import load_settings

TEXTS = st.lists(st.none() | st.text("".join((*SPACES, "!a0\N{NO-BREAK SPACE}")), max_size=3))


@given(TEXTS, st.lists(st.sampled_from(["", "a", " ", "0"]), unique=True))
@example([" ", "", "a ", None], [""])
@example([" ", ""], ["a"])
def test_a_text_of_spaces_is_none_where_an_empty_one_is(
    texts: list[str | None], words: list[str]
) -> None:
    rows = pl.DataFrame({"t": texts, "n": range(len(texts))}, schema={"t": pl.String, "n": pl.Int8})
    kept = nulled(rows, words)
    assert kept["t"].to_list() == [None if _is_none(text, words) else text for text in texts]
    assert kept["n"].equals(rows["n"])


def _is_none(text: str | None, words: list[str]) -> bool:
    return text is None or text in words or ("" in words and set(text) <= set(SPACES))


@pytest.mark.parametrize("blank", ["", " ", "   ", "\t"])
def test_blank_cells_hide_no_amount(tmp_path: Path, blank: str) -> None:
    rows = [
        f"u{i % 40},2024-{1 + i // 100:02d}-{1 + i % 28:02d},{blank if i % 9 == 0 else i + 0.5}\n"
        for i in range(900)
    ]
    log = put(tmp_path, "log.csv", "user_id,date,amount\n" + "".join(rows))
    target = tmp_path / "holdfast.toml"
    target.write_text(propose([log], target), encoding="utf-8")
    assert load_settings(target).source[0].columns.amount == "amount"
