"""Duplicates are dropped as a row-by-row reading of the rule drops them."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.ingest_naive import Row, kept

from events.contract import EVENTS, ROW_ORDER
from events.duplicates import Mode, new_rows

SCHEMA = {name: EVENTS.schema[name] for name in ROW_ORDER}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["a", "b"]),
            "ts": st.sampled_from([datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]),
            "event": st.sampled_from(["x", "y"]),
            "amount": st.sampled_from([None, 0.0, 1.5]),
            "channel": st.sampled_from([None, "app"]),
            "source": st.sampled_from(["s", "t"]),
            "event_id": st.sampled_from([None, "1", "2"]),
            "properties": st.sampled_from([None, '{"k":"v"}']),
            "received": st.sampled_from([None, datetime(2024, 1, 3, tzinfo=UTC)]),
        }
    ),
    max_size=20,
)


@settings(max_examples=150, deadline=None)
@given(new=ROWS, stored=ROWS, mode=st.sampled_from(["event_id", "row", "none"]))
def test_what_is_kept_is_what_the_rule_keeps(new: list[Row], stored: list[Row], mode: Mode) -> None:
    frame = pl.DataFrame(new, schema=SCHEMA)
    found = new_rows(frame, pl.LazyFrame(stored, schema=SCHEMA), mode)
    assert found.to_dicts() == kept(new, stored, mode)
    assert new_rows(frame.reverse(), pl.LazyFrame(stored, schema=SCHEMA), mode).equals(found)


def test_the_first_store_has_nothing_to_compare_with() -> None:
    row = {"user_id": "a", "ts": datetime(2024, 1, 1, tzinfo=UTC), "event": "x", "source": "s"}
    frame = pl.DataFrame([row, row], schema=SCHEMA)
    assert new_rows(frame, None, "row").height == 1
    assert new_rows(frame, None, "none").height == 2
