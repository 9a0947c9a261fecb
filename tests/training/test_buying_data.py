"""Histories from event rows: as counted row by row, and with nothing at or after the cutoff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import buying_naive
from polars.testing import assert_frame_equal

from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import SchemaError, UsageError
from training.buying_data import Histories, group, histories, purchases_plan

CPU = Device("cpu", "test")
START = datetime(2024, 3, 20, tzinfo=UTC)
SCHEMA = {"user_id": pl.String, "ts": pl.Datetime("us", "UTC"), "amount": pl.Float64}

rows = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 40 * 24).map(lambda hour: START + timedelta(hours=hour)),
        st.one_of(st.none(), st.sampled_from([-5.0, 0.0, 0.1, 0.2, 10.0, 33.3])),
    ),
    max_size=30,
)


def frame(found: list[tuple[str, datetime, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


@given(found=rows, hours=st.integers(1, 45 * 24), zone=st.sampled_from(["UTC", "Europe/Berlin"]))
@settings(max_examples=80, deadline=None)
def test_histories_are_those_counted_row_by_row(
    found: list[tuple[str, datetime, float | None]], hours: int, zone: str
) -> None:
    cutoff = Cutoff(START + timedelta(hours=hours))
    people = collect(purchases_plan(frame(found).lazy(), cutoff, zone), CPU)
    naive = buying_naive.summary(found, cutoff.at, zone)
    assert people["user_id"].to_list() == sorted(naive)
    for row in people.iter_rows(named=True):
        mine = naive[row.pop("user_id")]
        assert row == {n: v if v is None else pytest.approx(v, rel=1e-12) for n, v in mine.items()}
    histories(people)  # every one of them is a history


@given(found=rows, hours=st.integers(1, 45 * 24), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_later_rows_and_the_order_of_rows_change_nothing(
    found: list[tuple[str, datetime, float | None]], hours: int, seed: int
) -> None:
    cutoff = Cutoff(START + timedelta(hours=hours))
    known = (
        frame(found).filter(pl.col("ts") < cutoff.at).sample(fraction=1.0, shuffle=True, seed=seed)
    )
    both = [collect(purchases_plan(f.lazy(), cutoff), CPU) for f in (frame(found), known)]
    assert_frame_equal(*both, check_exact=True)


def test_a_day_is_one_purchase_and_refunds_are_none() -> None:
    found = [
        ("a", START, 10.0),
        ("a", START + timedelta(hours=5), 20.0),
        ("a", START + timedelta(days=14), 7.0),
        ("a", START + timedelta(days=15), -7.0),
        ("a", START + timedelta(days=16), 0.0),
        ("b", START + timedelta(days=20), None),
    ]
    cutoff = Cutoff(START + timedelta(days=29))
    people = collect(purchases_plan(frame(found).lazy(), cutoff, unit="week"), CPU)
    assert people.row(0) == ("a", 1.0, 2.0, 4.0, 7.0, 18.5)
    assert len(people) == 1
    free = collect(purchases_plan(frame(found).lazy(), cutoff, free=True), CPU)
    assert free.row(0)[:4] == ("a", 2.0, 16.0, 28.0)


def test_the_age_ends_with_the_last_day_before_the_cutoff() -> None:
    found = [("a", START, 10.0), ("a", START + timedelta(days=3), 10.0)]
    for hours, age in ((24 * 3 + 1, 3.0), (24 * 4, 3.0), (24 * 4 + 1, 4.0)):
        cutoff = Cutoff(START + timedelta(hours=hours))
        people = collect(purchases_plan(frame(found).lazy(), cutoff), CPU)
        assert people["age"].to_list() == [age]


@pytest.mark.parametrize(
    ("x", "t", "age"), [(1.5, 1, 2), (-1, 0, 2), (1, 3, 2), (0, 1, 2), (1, None, 2), (1, 1, np.inf)]
)
def test_a_row_that_cannot_be_is_named(x: float, t: float, age: float) -> None:
    good = {"frequency": [1.0, x], "recency": [1.0, t], "age": [2.0, age]}
    with pytest.raises(SchemaError, match="row 1 of 2"):
        histories(pl.DataFrame(good))


def test_columns_and_units_that_lack_are_named() -> None:
    with pytest.raises(SchemaError, match="no column 'recency'"):
        histories(pl.DataFrame({"frequency": [1.0]}))
    with pytest.raises(UsageError, match="unit 'month'"):
        purchases_plan(frame([]).lazy(), Cutoff(START), unit="month")  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(1, 5),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_groups_are_the_same_in_any_order_and_division(
    pairs: list[tuple[int, int]], parts: int, random: object
) -> None:
    def arrays(chosen: list[tuple[int, int]]) -> Histories:
        x = np.array([float(pair[0]) for pair in chosen])
        return Histories(x, np.minimum(x, 1.0) * 2, np.array([2.0 + p[1] for p in chosen]))

    whole = group([arrays(pairs)])
    assert whole.customers == len(pairs)
    assert len(whole.weight) == len({(x, age) for x, age in pairs})
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    divided = group([arrays(shuffled[k::parts]) for k in range(parts)])
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, getattr(divided, name))
