"""Extra columns as one JSON object a row, whatever their names and texts hold."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from events.columns import as_json_object

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
ROWS = st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1, max_size=5)


@given(names=st.lists(TEXT, min_size=2, max_size=2, unique=True), rows=ROWS)
@example(names=['a"b', "\\"], rows=[("x", None), (None, None), ('"', "\n\x00\u2028")])
@example(names=["a", "b"], rows=[("", "{")])
def test_an_object_holds_what_is_not_null(
    names: list[str], rows: list[tuple[str | None, ...]]
) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")
    found = frame.select(as_json_object(names, frame.schema)).to_series()
    for row, held in zip(rows, found, strict=True):
        wanted = {name: text for name, text in zip(names, row, strict=True) if text is not None}
        assert (json.loads(held) if held is not None else {}) == wanted
        assert held is None or list(json.loads(held)) == sorted(wanted)


@given(names=st.just(["k"]), rows=st.lists(st.tuples(TEXT), min_size=1, max_size=5))
def test_text_is_written_alike_whatever_stands_in_the_rows_beside_it(
    names: list[str], rows: list[tuple[str]]
) -> None:
    """Rows are the same event where they are equal, in whichever batch they came."""
    alone = [_written(names, [row])[0] for row in rows]
    assert _written(names, [*rows, ('"',)])[:-1] == alone


def _written(names: list[str], rows: list[tuple[str]]) -> list[str]:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")
    return frame.select(as_json_object(names, frame.schema)).to_series().to_list()
