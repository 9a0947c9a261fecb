"""Laying the log out anew changes where rows lie, and nothing that anybody sees."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_tools import HEAD, put, settings_in, table
from polars.testing import assert_frame_equal

from events import optimize as optimizing
from events.contract import EVENTS, ROW_ORDER
from events.ingest import ingest
from events.optimize import optimize
from events.staging import bucket_of
from events.store import BUCKETS, events_path, open_store
from events.users import scan_users, users_path
from runtime import tables
from runtime.errors import StoreError, UsageError
from runtime.settings import Events, Settings

USERS: dict[str, Any] = {
    "path": "known/u.csv",
    "columns": {"user_id": "id"},
    "attributes": ["plan"],
}


def _settings(folder: Path, buckets: int, **changes: Any) -> Settings:
    return settings_in(folder, events={"buckets": buckets, "deduplicate": "none"}, **changes)


def _log(seed: int, rows: int, users: int = 40) -> str:
    """Skewed users; doubled rows and equal times among them."""
    chance = random.Random(seed)
    lines = []
    for n in range(rows):
        user = int(users * chance.random() ** 2)
        day, hour = chance.randrange(1, 29), chance.randrange(3)
        lines.append(f"{seed}-{n % 50},u{user},2024-03-{day:02d} 0{hour}:00:00,e{n % 3},{n % 7}\n")
    return HEAD + "".join(lines)


def _stored(settings: Settings) -> pl.DataFrame:
    found = tables.open_table(events_path(settings), EVENTS).scan().collect()
    return found.sort(found.columns)


def _check_layout(settings: Settings, buckets: int) -> None:
    """One file a bucket, in ROW_ORDER, each user in the bucket of the hash."""
    opened = tables.open_table(events_path(settings), EVENTS, [BUCKETS])
    assert opened.numbers == {BUCKETS: buckets}
    seen = 0
    for bucket in opened.partitions("bucket"):
        assert opened.in_one_file(bucket=bucket)
        rows = opened.scan(bucket=bucket).collect()
        assert_frame_equal(rows, rows.sort(ROW_ORDER))
        assert set(rows.select(bucket_of(buckets))["bucket"]) == {int(bucket)}
        seen += rows.height
    assert opened.rows() == seen


@settings(max_examples=12, deadline=None)
@given(
    counts=st.lists(st.integers(1, 17), min_size=2, max_size=3),
    ingests=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    slice_rows=st.sampled_from([7, 50, 1 << 20]),
)
def test_any_number_of_buckets_to_any_other(
    counts: list[int], ingests: list[int], slice_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizing, "SLICE_ROWS", slice_rows)
        folder = Path(name)
        for n, rows in enumerate(ingests):
            put(folder, f"{n}.csv", _log(n, rows))
            ingest(_settings(folder, counts[0]))
        before = _stored(_settings(folder, counts[0]))
        seen = open_store(_settings(folder, counts[0]))
        for count in counts:
            result = optimize(_settings(folder, count))
            assert result.rows == before.height == sum(ingests)
            assert result.buckets == count
            _check_layout(_settings(folder, count), count)
            assert_frame_equal(_stored(_settings(folder, count)), before)
        after = open_store(_settings(folder, counts[-1]))
        assert (after.first, after.as_of, after.covered_until) == (
            seen.first,
            seen.as_of,
            seen.covered_until,
        )


def _project(folder: Path, buckets: int = 3) -> Settings:
    for n in range(3):
        put(folder, f"{n}.csv", _log(n, 300))
        put(folder, "known/u.csv", "id,plan\n" + "".join(f"u{i},p{i % 4}\n" for i in range(50)))
        ingest(_settings(folder, buckets, users=USERS))
    return _settings(folder, buckets, users=USERS)


def test_compaction_touches_the_scattered_buckets_only(tmp_path: Path) -> None:
    project = _project(tmp_path)
    assert optimize(project).files == 3
    before = tables.open_table(events_path(project), EVENTS)
    put(tmp_path, "late.csv", HEAD + "l,u1,2024-01-01 00:00:00,e1,1\n")
    ingest(project)
    added = tables.open_table(events_path(project), EVENTS)
    theirs = {b: before.files_of(bucket=b) for b in range(3)}
    mine = {b: added.files_of(bucket=b) for b in range(3)}
    touched = [b for b in range(3) if mine[b] != theirs[b]]
    assert len(touched) == 1  # a late event touches its user's bucket, and no other file
    assert set(theirs[touched[0]]) < set(mine[touched[0]])
    result = optimize(project)
    assert (result.files_before, result.files) == (4, 3)
    after = tables.open_table(events_path(project), EVENTS)
    assert all(after.files_of(bucket=b) == theirs[b] for b in range(3) if b not in touched)
    _check_layout(project, 3)
    assert optimize(project).version == result.version  # nothing to do, nothing done


def test_only_the_files_of_the_new_layout_are_left(tmp_path: Path) -> None:
    project = _project(tmp_path)
    optimize(_settings(tmp_path, 5, users=USERS))
    store = project.store
    for path in (events_path(project), users_path(project)):
        kind = tables.stored_kind(path)
        named = set(tables.open_table(path, kind).files_of())
        on_disk = {p for p in path.rglob("*.parquet") if "_delta_log" not in p.parts}
        assert on_disk == named
        assert tables.recorded(path, BUCKETS) == 5
    assert not [*(store / ".staging").glob("*")]


def _plans(project: Settings, buckets: int) -> dict[str, str | None]:
    """Each user's attribute as a reader of bucket after bucket finds it."""
    found: dict[str, str | None] = {}
    for bucket in range(buckets):
        users = scan_users(project, bucket, buckets)
        assert users is not None
        people = open_store(project).scan(bucket).select("user_id").unique()
        joined = people.join(users, on="user_id", how="left").collect()
        assert joined["user_id"].is_unique().all()
        found |= dict(joined.select("user_id", "plan").iter_rows())
    return found


def test_the_users_follow_and_no_reader_misses_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path)
    before = _plans(project, 3)
    assert None not in before.values()
    monkeypatch.setattr(optimizing, "_part_users", _cut_off)
    changed = _settings(tmp_path, 8, users=USERS)
    with pytest.raises(KeyboardInterrupt):
        optimize(changed)
    assert open_store(project).parted_in == 8
    assert tables.recorded(users_path(project), BUCKETS) == 3
    assert _plans(changed, 8) == before
    monkeypatch.undo()
    optimize(changed)
    assert tables.recorded(users_path(project), BUCKETS) == 8
    assert _plans(changed, 8) == before
    one = scan_users(changed, 0, 8)
    everyone = scan_users(changed)
    assert one is not None
    assert everyone is not None
    assert 0 < one.collect().height < everyone.collect().height  # read by bucket again


def _cut_off(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("parts", range(5))
def test_interrupted_it_leaves_the_old_layout_and_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    project = _project(tmp_path)
    before, version = _stored(project), open_store(project).version
    changed = _settings(tmp_path, 4, users=USERS)
    write, written, allowed = optimizing.write_part, [0], [parts]

    def counted(*given: Any, **named: Any) -> tables.Part:
        if written[0] == allowed[0]:
            raise KeyboardInterrupt
        written[0] += 1
        return write(*given, **named)

    monkeypatch.setattr(optimizing, "write_part", counted)
    if parts < 4:
        with pytest.raises(KeyboardInterrupt):
            optimize(changed)
        assert open_store(project).version == version
        assert_frame_equal(_stored(project), before)
    allowed[0] = 100
    optimize(changed)
    assert written[0] == 4  # each file once over both runs
    _check_layout(changed, 4)
    assert_frame_equal(_stored(project), before)
    assert table(tmp_path, "users").height == 50


def test_what_was_ingested_after_an_interruption_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path)
    changed = _settings(tmp_path, 4, users=USERS)
    monkeypatch.setattr(optimizing, "commit", _cut_off)
    with pytest.raises(KeyboardInterrupt):
        optimize(changed)
    monkeypatch.undo()
    put(tmp_path, "more.csv", _log(9, 100))
    ingest(project)
    before = _stored(project)
    assert optimize(changed).rows == before.height == 1_000
    _check_layout(changed, 4)
    assert_frame_equal(_stored(project), before)


def test_the_number_is_chosen_by_the_size_and_never_shrinks_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path)
    free = project.model_copy(update={"events": Events()})
    assert optimize(free).buckets == 3
    monkeypatch.setattr(optimizing, "buckets_for", lambda rows: 8 if rows == 900 else 0)
    assert optimize(free).buckets == 8
    assert optimize(free, 2).buckets == 2
    with pytest.raises(UsageError, match=r"--buckets 5: the settings ask for events\.buckets = 3"):
        optimize(project, 5)
    with pytest.raises(UsageError, match="--buckets 0: name a number from 1 to 65,536"):
        optimize(project, 0)


def test_without_a_store_it_says_so_and_makes_none(tmp_path: Path) -> None:
    project = _settings(tmp_path, 2)
    with pytest.raises(StoreError, match="no events table here yet"):
        optimize(project)
    assert not project.store.exists()
