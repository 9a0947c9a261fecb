"""Funnels of random logs equal those of every choice of events tried, in every order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from oracles.funnel_duckdb import histogram, seconds_of
from oracles.funnel_logs import arguments, as_frame, logs, questions, write_in_two
from oracles.funnel_naive import Asked as Question
from oracles.funnel_naive import Event, Person, figures, people, quantile
from oracles.retention_world import settings_in, write_store

from events.store import EventStore
from retention.funnel import Funnel, Group, answered
from retention.funnel_count import Asked, counted, listed
from retention.funnel_plan import Bucket, counts_plan, users_plan
from retention.funnel_users import Wanted, in_group
from retention.steps import question
from runtime.cluster import IN_PROCESS
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "a test")
COUNTED = ["value", "others", "step", "seconds"]


def asked_of(store: EventStore, wanted: Question, folder: Path) -> Asked:
    how = arguments(wanted)
    found = question(
        settings_in(folder), store.covered_until, how.pop("steps"), how.pop("window"), **how
    )
    return Asked(settings_in(folder), store, CPU, found, IN_PROCESS)


def answer(
    events: list[Event], wanted: Question, buckets: int = 2
) -> tuple[Funnel, dict[str, Person], pl.DataFrame]:
    """The funnel, what the oracle says of each user, and the users as listed."""
    with TemporaryDirectory() as folder:
        chosen = settings_in(Path(folder))
        store = write_store(chosen, as_frame(events), buckets)
        put = asked_of(store, wanted, Path(folder))
        found = answered(put, top=1)
        return found, people(events, wanted, store.covered_until), pl.concat(listed(put, found.top))


def check(rows: pl.DataFrame, expected: dict[str, Person], steps: int) -> None:
    told = figures(expected, steps)
    for row, one in zip(rows.to_dicts(), told, strict=True):
        assert (row["users"], row["still_open"]) == (one["users"], one["still_open"])
        for name, share in (("median", 0.5), ("p25", 0.25), ("p75", 0.75), ("p90", 0.9)):
            assert row[f"{name}_seconds"] == pytest.approx(quantile(one["seconds"], share))


@given(events=logs(), wanted=questions())
@settings(max_examples=50, deadline=None)
def test_every_figure_equals_that_of_every_choice_tried(events, wanted) -> None:
    found, expected, users = answer(events, wanted)
    check(found.steps, expected, len(wanted.steps))
    assert_listed(found.steps, users)
    own = {row["user_id"]: row for row in users.to_dicts()}
    assert own.keys() == expected.keys()
    for user, person in expected.items():
        at, start = person.taken[-1]
        told = (own[user]["reached"], own[user]["at"], own[user]["started"])
        assert told == (len(person.taken), at, start)
    if wanted.by is None:
        return
    ranked = Counter(p.value for p in expected.values() if p.value is not None)
    best = min(ranked, key=lambda value: (-ranked[value], value), default=None)
    for group in found.groups:
        mine = {u: p for u, p in expected.items() if _is_in(p.value, group, best)}
        check(group.steps, mine, len(wanted.steps))
        assert_listed(group.steps, users.filter(in_group(found, Wanted(1, False, group.label))))
    assert sum(group.steps["users"][0] for group in found.groups) == found.steps["users"][0]


def assert_listed(steps: pl.DataFrame, users: pl.DataFrame) -> None:
    """As many users behind each figure as it says."""
    for row in steps.to_dicts():
        assert users.filter(pl.col("reached") >= row["step"]).height == row["users"]
        if row["dropped"] is not None:
            assert users.filter(pl.col("reached") == row["step"]).height == row["dropped"]


def _is_in(value: str | None, group: Group, best: str | None) -> bool:
    return value not in (None, best) if group.others else value == group.value


@given(events=logs(), wanted=questions())
@settings(max_examples=35, deadline=None)
def test_every_count_and_time_equals_sqls(events, wanted) -> None:
    with TemporaryDirectory() as folder:
        store = write_store(settings_in(Path(folder)), as_frame(events), 2)
        counts = counted(asked_of(store, replace(wanted, by=None), Path(folder)))
    assert histogram(counts, len(wanted.steps)) == seconds_of(events, wanted)


@given(events=logs(), wanted=questions())
@settings(max_examples=15, deadline=None)
def test_buckets_files_and_the_order_of_rows_change_nothing(events, wanted) -> None:
    one, _, users = answer(events, wanted, buckets=1)
    with TemporaryDirectory() as folder:
        store = write_in_two(settings_in(Path(folder)), as_frame(events[::-1]), 3)
        put = asked_of(store, wanted, Path(folder))
        assert not all(store.in_order(bucket) for bucket in store.buckets)
        many = answered(put, top=1)
        again = pl.concat(listed(put, many.top))
    assert one.to_json() == many.to_json()
    assert users.sort("user_id").equals(again.sort("user_id"))


@given(events=logs(), wanted=questions())
@settings(max_examples=40, deadline=None)
def test_the_plan_that_is_not_collected_in_between_says_the_same(events, wanted) -> None:
    """It is what runs on a GPU."""
    with TemporaryDirectory() as folder:
        store = write_store(settings_in(Path(folder)), as_frame(events), 1)
        asked = asked_of(store, wanted, Path(folder)).question
        (bucket,) = store.buckets
        for plan, by in ((counts_plan, COUNTED), (users_plan, ["user_id"])):
            found = [
                collect(
                    plan(Bucket(store.scan(bucket), in_order, None, device), asked, ("y",)), CPU
                )
                for in_order, device in ((False, None), (True, None), (True, CPU))
            ]
            keys = [name for name in by if name in found[0].columns]
            first, *others = (frame.sort(keys) for frame in found)
            assert all(first.equals(other) for other in others)
