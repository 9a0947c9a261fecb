"""Sequence plans equal the naive version; the slices of many cutoffs equal the plans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles import sequences_naive
from oracles.features_logs import T
from oracles.features_strategies import logs, moments, rows, specs
from oracles.sequences_naive import received_frame

from features.definitions import Definitions
from features.sequence_index import SliceFinder
from features.sequences import ARRAYS, index_plan, known_plan, sequence_plan
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
PLAIN = FeatureSpec(
    windows=(),
    events=("view", "buy"),
    channels=("web",),
    pools_events=True,
    pools_channels=True,
    has_amount=True,
    has_events=True,
    has_channels=True,
    has_times=True,
    session_gap_minutes=30,
    timezone="UTC",
    definitions=Definitions(Activity(), Eligible(), Churn(), Value()),
)
delays = st.sampled_from([timedelta(microseconds=1), DAY, 40 * DAY, -DAY]) | st.none()
late_rows = st.tuples(rows, delays).map(
    lambda drawn: drawn[0] | {"received": drawn[1] and drawn[0]["ts"] + drawn[1]}
)
late_logs = st.lists(late_rows, min_size=1, max_size=25)
cutoff_lists = st.lists(moments, min_size=1, max_size=5, unique=True).map(
    lambda found: [Cutoff(instant) for instant in sorted(found)]
)
lengths = st.sampled_from((1, 2, 3, 100))
Log = list[dict[str, Any]]
Contents = dict[str, dict[str, bytes]]


def event(ts: datetime, user: str = "a", **given: Any) -> dict[str, Any]:
    row = {"user_id": user, "ts": ts, "event": "view", "amount": None, "channel": None}
    return row | given


def sorted_rows(log: Log, spec: FeatureSpec = PLAIN) -> pl.DataFrame:
    return collect(sequence_plan(received_frame(log).lazy(), spec), CPU)


def by_user(found: pl.DataFrame) -> Contents:
    parts = found.partition_by("user_id", as_dict=True)
    return {
        str(user): {name: part[name].to_numpy().tobytes() for name in ARRAYS}
        for (user,), part in parts.items()
    }


def sequences_at(log: Log, t: datetime, spec: FeatureSpec, length: int = 100) -> pl.DataFrame:
    return collect(known_plan(sorted_rows(log, spec).lazy(), Cutoff(t), length), CPU)


def sliced(frame: pl.DataFrame, cutoffs: Sequence[Cutoff], length: int) -> list[Contents]:
    """What the finder's slices hold, copies included, by cutoff and user."""
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name != "user_id"}
    names = frame["user_id"].unique(maintain_order=True)
    finder = SliceFinder(arrays, cutoffs, length)
    found = list(finder.slices())
    places, gaps = finder.copies()
    whole = {n: np.concatenate((arrays[n], arrays[n][places])) for n in ARRAYS}
    whole["gap"] = np.concatenate((arrays["gap"], gaps))
    return [
        {
            names[user]: {name: whole[name][begin:end].tobytes() for name in ARRAYS}
            for user, begin, end in zip(
                s.users.tolist(), s.begin.tolist(), s.end.tolist(), strict=True
            )
        }
        for s in found
    ]


@hypothesis_settings(max_examples=60, deadline=None)
@given(log=late_logs, t=moments, spec=specs, length=lengths)
def test_sequences_are_the_naive_ones(
    log: Log, t: datetime, spec: FeatureSpec, length: int
) -> None:
    found = by_user(sequences_at(log, t, spec, length))
    assert found == sequences_naive.sequences(log, t, spec, length)


@hypothesis_settings(max_examples=60, deadline=None)
@given(log=late_logs, t=moments, length=lengths)
def test_a_slice_holds_the_sequence_unless_a_late_row_breaks_it(
    log: Log, t: datetime, length: int
) -> None:
    frame = sorted_rows(log)
    index = collect(index_plan(frame.lazy(), Cutoff(t), length), CPU)
    expected = sequences_naive.sequences(log, t, PLAIN, length)
    assert set(index["user_id"]) == set(expected)
    for row in index.iter_rows(named=True):
        within = by_user(frame[row["begin"] : row["end"]])
        assert (within == {row["user_id"]: expected[row["user_id"]]}) or row["late"]
        if row["late"]:
            assert any(r.get("received") for r in log if r["user_id"] == row["user_id"])


@hypothesis_settings(max_examples=150, deadline=None)
@given(log=late_logs, cutoffs=cutoff_lists, length=lengths)
def test_many_cutoffs_at_once_are_the_naive_sequences_of_each(
    log: Log, cutoffs: list[Cutoff], length: int
) -> None:
    found = sliced(sorted_rows(log), cutoffs, length)
    assert found == [sequences_naive.sequences(log, c.at, PLAIN, length) for c in cutoffs]


@hypothesis_settings(max_examples=60, deadline=None)
@given(log=late_logs, cutoffs=cutoff_lists, length=lengths)
def test_many_cutoffs_at_once_have_the_slices_of_the_plan(
    log: Log, cutoffs: list[Cutoff], length: int
) -> None:
    frame = sorted_rows(log)
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name != "user_id"}
    for cutoff, found in zip(cutoffs, SliceFinder(arrays, cutoffs, length).slices(), strict=True):
        index = collect(index_plan(frame.lazy(), cutoff, length), CPU)
        assert found.users.tolist() == index["number"].to_list()
        assert (found.begin >= frame.height).tolist() == index["late"].to_list()
        in_place = found.begin < frame.height
        for name in ("begin", "end"):
            assert (
                getattr(found, name)[in_place].tolist() == index[name].to_numpy()[in_place].tolist()
            )


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    log=logs,
    later=st.lists(late_rows, max_size=15),
    spec=specs,
    length=lengths,
)
def test_what_is_not_known_yet_changes_no_bit(
    log: Log, later: Log, spec: FeatureSpec, length: int
) -> None:
    """Rows at or after the cutoff, and rows from before it that come in at or after it."""
    unknown = [
        row | {"ts": T + abs(row["ts"] - T)} if k % 2 else row | {"received": T + k * DAY}
        for k, row in enumerate(later)
    ]
    whole = [event(T), *unknown, *log]
    cut = [row for row in log if row["ts"] < T]
    found, expected = (
        sliced(sorted_rows(rows, spec), [Cutoff(T)], length) if rows else [{}]
        for rows in (whole, cut)
    )
    assert found == expected
    assert by_user(sequences_at(whole, T, spec, length)) == expected[0]


def test_an_event_at_the_cutoff_is_not_known_and_one_just_before_is() -> None:
    log = [event(T - timedelta(microseconds=1)), event(T)]
    assert sequences_at(log, T, PLAIN)["ts"].len() == 1
    assert sequences_at(log, T + timedelta(microseconds=1), PLAIN)["ts"].len() == 2


def test_of_two_events_at_one_instant_the_order_is_their_own_and_the_gap_zero() -> None:
    pair = [event(T, event="view", amount=2.0), event(T, event="buy")]
    for log in (pair, pair[::-1]):
        found = sequences_at(log, T + DAY, PLAIN)
        assert found["kind"].to_list() == [1, 2]
        assert [math.isnan(found["gap"][0]), found["gap"][1]] == [True, 0.0]
    equal = [event(T, amount=0.0), event(T, amount=-0.0)]
    first, second = (by_user(sequences_at(log, T + DAY, PLAIN)) for log in (equal, equal[::-1]))
    assert first == second


def test_one_event_alone_has_neither_gap_nor_amount() -> None:
    found = sequences_at([event(T)], T + DAY, PLAIN).row(0, named=True)
    assert math.isnan(found["gap"])
    assert math.isnan(found["amount"])
    assert (found["kind"], found["channel"]) == (1, 0)


@pytest.mark.parametrize(("length", "kept"), [(1, 1), (3, 3), (5, 5), (6, 5)])
def test_the_last_events_are_kept_with_the_gap_before_the_first(length: int, kept: int) -> None:
    log = [event(T + k * DAY) for k in range(5)]
    found = sequences_at(log, T + 5 * DAY, PLAIN, length)["gap"].to_list()
    assert found[1:] == [86_400.0] * (kept - 1)
    assert math.isnan(found[0]) == (length >= 5)


def test_codes_tell_rare_none_and_named_apart() -> None:
    log = [
        event(T + k * DAY, event=name, channel=channel)
        for k, (name, channel) in enumerate(
            [("view", None), ("buy", "web"), ("odd", "app"), ("View", "WEB")]
        )
    ]
    found = sequences_at(log, T + 9 * DAY, PLAIN)
    assert found["kind"].to_list() == [1, 2, 0, 0]
    assert found["channel"].to_list() == [0, 2, 1, 1]
    nameless = sequences_at(log, T + 9 * DAY, replace(PLAIN, events=(), channels=()))
    assert nameless["kind"].to_list() == [0, 0, 0, 0]
    assert nameless["channel"].to_list() == [0, 1, 1, 1]


def test_amounts_are_held_to_what_float32_holds() -> None:
    log = [event(T, amount=1e300), event(T + DAY, amount=-1e300), event(T + 2 * DAY, amount=-0.0)]
    found = sequences_at(log, T + 9 * DAY, PLAIN)["amount"].to_numpy()
    assert found.tobytes() == np.array([1e30, -1e30, 0.0], np.float32).tobytes()


@pytest.mark.parametrize(
    ("zone", "instant", "hour", "weekday"),
    [
        ("Asia/Singapore", datetime(2024, 3, 31, 15, 59, tzinfo=UTC), 23, 6),
        ("Asia/Singapore", datetime(2024, 3, 31, 16, 0, tzinfo=UTC), 0, 0),
        ("America/Los_Angeles", datetime(2024, 1, 1, 7, 59, tzinfo=UTC), 23, 6),
        ("America/Los_Angeles", datetime(2024, 1, 1, 8, 0, tzinfo=UTC), 0, 0),
        ("Europe/Berlin", datetime(2024, 3, 31, 0, 59, tzinfo=UTC), 1, 6),
        ("Europe/Berlin", datetime(2024, 3, 31, 1, 0, tzinfo=UTC), 3, 6),
        ("Europe/Berlin", datetime(2024, 10, 27, 0, 30, tzinfo=UTC), 2, 6),
        ("Europe/Berlin", datetime(2024, 10, 27, 1, 30, tzinfo=UTC), 2, 6),
    ],
)
def test_hours_and_weekdays_are_those_of_the_zone(
    zone: str, instant: datetime, hour: int, weekday: int
) -> None:
    spec = replace(PLAIN, timezone=zone)
    found = sequences_at([event(instant)], instant + DAY, spec).row(0, named=True)
    assert (found["hour"], found["weekday"]) == (hour, weekday)


def test_a_late_row_is_left_out_until_it_is_known_and_gaps_with_it() -> None:
    log = [event(T), event(T + DAY, event="buy", received=T + 9 * DAY), event(T + 2 * DAY)]
    frame = sorted_rows(log)
    before, after = sliced(frame, [Cutoff(T + 3 * DAY), Cutoff(T + 10 * DAY)], 2)
    kinds = {"before": np.array([1, 1], "i2").tobytes(), "after": np.array([2, 1], "i2").tobytes()}
    assert before["a"]["kind"] == kinds["before"]
    assert after["a"]["kind"] == kinds["after"]
    assert before["a"]["gap"] == np.array([math.nan, 172_800], "f4").tobytes()
    assert after["a"]["gap"] == np.array([86_400, 86_400], "f4").tobytes()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_late_row_right_before_the_slice_counts_as_within(length: int) -> None:
    """The first gap of the slice is the time since it."""
    log = [event(T), event(T + DAY, received=T + 9 * DAY), event(T + 2 * DAY)]
    index = collect(index_plan(sorted_rows(log).lazy(), Cutoff(T + 3 * DAY), length), CPU)
    assert index["late"].to_list() == [True]


def test_a_late_row_far_before_the_slice_does_not_break_it() -> None:
    log = [event(T, received=T + 9 * DAY), event(T + DAY), event(T + 2 * DAY)]
    index = collect(index_plan(sorted_rows(log).lazy(), Cutoff(T + 3 * DAY), 1), CPU)
    assert index.select("begin", "end", "late").row(0) == (2, 3, False)


def test_a_copy_serves_every_cutoff_until_something_new_is_known() -> None:
    log = [event(T), event(T + DAY, received=T + 99 * DAY), event(T + 2 * DAY)]
    log += [event(T + 20 * DAY)]
    frame = sorted_rows(log)
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name != "user_id"}
    cutoffs = [Cutoff(T + days * DAY) for days in (3, 5, 10, 21, 30, 100)]
    finder = SliceFinder(arrays, cutoffs, 10)
    slices = [(int(s.begin[0]), int(s.end[0])) for s in finder.slices()]
    assert slices == [(4, 6), (4, 6), (4, 6), (6, 9), (6, 9), (0, 4)]
    assert len(finder.copies()[0]) == 5


def test_rows_that_are_not_in_yet_but_newest_need_no_copy() -> None:
    log = [event(T + k * DAY, received=T + (k + 2) * DAY) for k in range(10)]
    frame = sorted_rows(log)
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name != "user_id"}
    finder = SliceFinder(arrays, [Cutoff(T + 5 * DAY)], 2)
    (found,) = finder.slices()
    assert (found.begin.tolist(), found.end.tolist()) == ([1], [3])
    assert len(finder.copies()[0]) == 0


def test_cutoffs_out_of_order_are_refused() -> None:
    frame = sorted_rows([event(T)])
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name != "user_id"}
    with pytest.raises(ValueError, match="sorted and differ"):
        SliceFinder(arrays, [Cutoff(T), Cutoff(T)], 1)
