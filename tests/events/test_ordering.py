"""A bucket sorted by one whole number is sorted as by all columns, and told apart as by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.ingest_plain import plain_new_rows

from events import ordering
from events.contract import EVENTS, ROW_ORDER, TIME
from events.duplicates import Mode, new_rows
from events.ordering import in_row_order

SECOND = 1_000_000
DAY = 86_400 * SECOND
FAR = 2**55  # microseconds: more than a thousand years


def log(seed: int, rows: int, users: int, unit: int, span: int) -> pl.DataFrame:
    """Awkward rows: ties, nulls, duplicates; times `unit` apart in `span` microseconds."""
    rng = np.random.default_rng(seed)

    def some(values: list[Any], dtype: Any = pl.String) -> pl.Series:
        return pl.Series(values, dtype=dtype).gather(rng.integers(0, len(values), rows))

    names = [f"{'ü' * (i % 3)}{i}" for i in range(users)]
    times = rng.integers(-span // unit, span // unit + 1, max(2, rows // 3)) * unit
    frame = pl.DataFrame(
        {
            "user_id": some(names),
            "ts": pl.Series(rng.choice(times, rows)).cast(TIME),
            "event": some(["view", "buy"]),
            "amount": some([None, 0.0, 1.5, -2.0], pl.Float64),
            "channel": some([None, "app", "web"]),
            "source": some(["a", "b"]),
            "event_id": some([None, "1", "2", "3"]),
            "properties": some([None, '{"k":"v"}']),
            "received": some([None, 1, 2], pl.Int64).cast(TIME),
        }
    ).select(ROW_ORDER)
    return pl.concat([frame, frame.sample(rows // 4, seed=seed)])


LOGS = st.builds(
    log,
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 60),
    users=st.integers(1, 5),
    unit=st.sampled_from([1, 1_000, SECOND, DAY]),
    span=st.sampled_from([1, DAY, 365 * DAY, FAR]),
)


@settings(max_examples=120, deadline=None)
@given(
    rows=LOGS,
    stored=LOGS | st.none(),
    mode=st.sampled_from(["event_id", "row", "none"]),
    bits=st.sampled_from([63, 30, 4]),
)
def test_new_rows_are_those_of_plain_sorts_and_joins(
    rows: pl.DataFrame, stored: pl.DataFrame | None, mode: Mode, bits: int
) -> None:
    known = None if stored is None else pl.concat([stored, rows.head(3)])
    plan = None if known is None else known.lazy()
    expected = plain_new_rows(rows, known, mode)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_KEY_BITS", bits)
        assert new_rows(rows, plan, mode).equals(expected)
        assert new_rows(pl.concat([rows.slice(7), rows.slice(0, 7)]), plan, mode).equals(expected)


@settings(max_examples=60, deadline=None)
@given(rows=LOGS, bits=st.sampled_from([63, 4]))
def test_tied_are_the_rows_that_share_user_and_time(rows: pl.DataFrame, bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_KEY_BITS", bits)
        ordered = in_row_order(rows)
    assert ordered.rows.equals(rows.sort(ROW_ORDER))
    shared = ordered.rows.select(pl.struct("user_id", "ts").is_duplicated()).to_series()
    assert ordered.tied.tolist() == shared.arg_true().to_list()


@pytest.mark.parametrize(
    ("times", "fits"),
    [
        ([0, 2**61 - 1, 5], True),  # 61 bits beside 2 of three users
        ([0, 2**61, 5], False),
        ([0, 2**61, 1_000_000_000], False),  # not whole milliseconds: 2^61 is none
        ([0, 1_000 * 2**52, 5_000], True),  # in milliseconds
        ([0, DAY * 2**25, DAY], True),  # in days
        ([0, DAY * 2**25, DAY + 1], False),
        ([0, SECOND * 2**42 + 1, DAY], False),
    ],
)
def test_times_that_do_not_fit_are_sorted_plainly(times: list[int], fits: bool) -> None:
    users = np.array([0, 1, 2])
    key = ordering._packed(users, np.array(times))
    assert (key is not None) == fits
    frame = log(0, 3, 3, 1, 1).head(3)
    frame = frame.with_columns(
        pl.Series("user_id", ["a", "b", "c"]), pl.Series("ts", times).cast(TIME)
    )
    frame = pl.concat([frame, frame.reverse()])
    assert in_row_order(frame).rows.equals(frame.sort(ROW_ORDER))


def test_a_bucket_without_rows_stays_empty() -> None:
    empty = pl.DataFrame(schema={name: EVENTS.schema[name] for name in ROW_ORDER})
    assert new_rows(empty, empty.lazy(), "row").height == 0
