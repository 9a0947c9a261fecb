"""Lists of users, many values, other processes: the same figures however they are come by."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from oracles.retention_world import Row, at, settings_in, write_store

from events.store import EventStore
from retention import pooling
from retention.curve import RetentionTable, retention
from retention.drill import Figure, count_of, write_users
from retention.triangle import remarks, triangle
from runtime.cluster import parse_cluster
from runtime.device import Device
from runtime.errors import OutputError
from runtime.settings import Settings

CPU = Device("cpu", "a test")
START = at("2024-03-01")
SOURCE = {"name": "log", "path": "x.csv", "columns": {"user_id": "u", "ts": "t", "amount": "a"}}


FREQUENT = {"first": ["c00", "c01", "c02"], "every": ["c00", "c35", "c15"]}


def log(users: int = 40) -> list[Row]:
    """User n comes on day n % 7 and again every 1 + n % 5 days, until day 20."""
    rows: list[Row] = []
    for n in range(users):
        for day in range(n % 7, 20, 1 + n % 5):
            rows.append((f"u{n:02d}", START + timedelta(days=day, hours=n % 24), "view"))
    return rows


@pytest.fixture
def world(tmp_path: Path) -> tuple[Settings, EventStore]:
    chosen = settings_in(tmp_path, source=[SOURCE])
    frame = pl.DataFrame(
        log(),
        schema={"user_id": pl.String(), "ts": pl.Datetime("us", "UTC"), "event": pl.String()},
        orient="row",
    ).with_columns(channel=pl.concat_str(pl.lit("c"), pl.col("user_id").str.slice(1)))
    return chosen, write_store(chosen, frame, 5)


def asked(chosen: Settings, store: EventStore, **how) -> RetentionTable:
    return retention(chosen, store, CPU, "nday", "day", 4, **how)


def test_retained_and_lost_are_all_users_once(world, tmp_path: Path) -> None:
    chosen, store = world
    table = asked(chosen, store, by="channel", top=3)
    for day, label in [(None, None), (date(2024, 3, 2), None), (None, "(other)"), (None, "c01")]:
        lists = []
        for lost in (False, True):
            path = tmp_path / f"{lost}.parquet"
            figure = Figure("3", day, label, lost)
            assert write_users(path, table, figure, store, CPU) == count_of(table, figure)
            lists.append(set(pl.read_parquet(path)["user_id"]))
        assert not lists[0] & lists[1]
        retained, lost = (count_of(table, Figure("3", day, label, lost)) for lost in (False, True))
        assert len(lists[0] | lists[1]) == retained + lost


def test_a_list_that_fails_leaves_the_old_one(world, tmp_path: Path, monkeypatch) -> None:
    chosen, store = world
    table = asked(chosen, store)
    path = tmp_path / "users.csv"
    write_users(path, table, Figure("1"), store, CPU)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_users(path, table, Figure("2"), store, CPU)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("*users*")] == ["users.csv"]


def test_an_empty_list_is_a_file_with_its_columns(world, tmp_path: Path) -> None:
    chosen, store = world
    table = asked(chosen, store)
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        path = tmp_path / f"none{suffix}"
        assert write_users(path, table, Figure("0", lost=True), store, CPU) == 0
        assert read(path).columns == ["user_id", "cohort", "anchor"]


@pytest.mark.parametrize("anchor", ["first", "every"])
def test_many_values_are_counted_beforehand_and_the_table_is_the_same(
    world, anchor, monkeypatch
) -> None:
    chosen, store = world
    few = asked(chosen, store, by="channel", top=3, anchor=anchor).to_json()
    monkeypatch.setattr(pooling, "MANY", 0)
    assert asked(chosen, store, by="channel", top=3, anchor=anchor).to_json() == few
    names = [row["group"] for row in few["groups"][::5]]
    # Users come on n % 7 and every 1 + n % 5 days: u00 and u35 on all 20 days, u15 on 19.
    assert names == [*FREQUENT[anchor], "(other)"]


@pytest.mark.slow
def test_processes_find_the_same(world, tmp_path: Path) -> None:
    chosen, store = world
    two = parse_cluster("local:2")
    here = asked(chosen, store, by="channel", top=3)
    there = asked(chosen, store, by="channel", top=3, cluster=two)
    assert there.to_json() == here.to_json()
    figure = Figure("2", lost=True)
    path = tmp_path / "lost.parquet"
    assert write_users(path, here, figure, store, CPU, two) == count_of(here, figure)


def test_a_long_triangle_shows_the_newest_and_says_so(world) -> None:
    chosen, store = world
    table = asked(chosen, store)
    lines = triangle(table, most=3)
    assert [line["cohort"] for line in lines] == [
        "2024-03-05",
        "2024-03-06",
        "2024-03-07",
        "overall",
    ]
    assert any("newest 3 of 7 cohorts" in line for line in remarks(table, most=3))
