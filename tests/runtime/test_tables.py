from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from runtime import tables
from runtime.delta import Log
from runtime.errors import StoreError
from runtime.tables import TableKind

KIND = TableKind(
    "things",
    1,
    {"name": pl.String(), "size": pl.Int64(), "bucket": pl.Int32()},
    ("bucket",),
)


def _frame(bucket: int, *names: str) -> pl.DataFrame:
    return pl.DataFrame({"name": names, "size": range(len(names)), "bucket": bucket})


def _names(path: Path, **partition: int) -> list[str]:
    table = tables.open_table(path, KIND)
    return sorted(table.scan(**partition).collect()["name"].to_list())


def test_a_commit_records_its_keys_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "t"
    assert tables.committed(path, ["a"]) == set()
    tables.append(path, KIND, [_frame(0, "x"), _frame(1, "y")], keys=["a"])
    assert tables.committed(path, ["a", "b"]) == {"a"}
    assert _names(path) == ["x", "y"]
    assert _names(path, bucket=1) == ["y"]
    assert _names(path, bucket=7) == []


def test_a_failing_stream_commits_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])

    def stream():  # type: ignore[no-untyped-def]
        yield _frame(0, "y")
        raise ValueError("broken source")

    with pytest.raises(Exception, match="broken source"):
        tables.append(path, KIND, stream(), keys=["b"])
    assert _names(path) == ["x"]
    assert tables.committed(path, ["b"]) == set()


def test_replace_touches_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.replace(path, KIND, [_frame(0, "x"), _frame(1, "y")], "bucket = 0")
    tables.replace(path, KIND, [_frame(0, "z")], "bucket = 0")
    assert _names(path) == ["y", "z"]


def test_an_opened_table_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])
    table = tables.open_table(path, KIND)
    tables.append(path, KIND, [_frame(0, "y")])
    assert table.scan().collect().height == 1
    assert tables.open_table(path, KIND).version == table.version + 1


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])
    newer = TableKind("things", 2, KIND.schema, KIND.partition_by)
    with pytest.raises(StoreError, match="schema version 1, this Holdfast reads version 2"):
        tables.open_table(path, newer)
    with pytest.raises(StoreError, match="is not a table of others"):
        tables.open_table(path, TableKind("others", 1, KIND.schema))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no things table"):
        tables.open_table(tmp_path / "t", KIND)


FLAT = TableKind("flat", 1, {"name": pl.String(), "size": pl.Int64()})
SORTED = TableKind("things", 1, KIND.schema, KIND.partition_by, sorted_by=("name", "size"))


def _flat(*names: str | None) -> pl.DataFrame:
    return pl.DataFrame({"name": names, "size": range(len(names))}, schema=dict(FLAT.schema))


def test_replace_takes_rows_out_of_files_that_keep_others(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, FLAT, [_flat("x", "y", None), _flat("z")])
    before = set(tables.open_table(path, FLAT).files_of())
    tables.replace(path, FLAT, [_flat("new")], "name IN ('x', 'nobody')")
    table = tables.open_table(path, FLAT)
    assert table.scan().sort("name", nulls_last=True).collect()["name"].to_list() == [
        "new",
        "y",
        "z",
        None,
    ]
    assert len(before & set(table.files_of())) == 1  # the file of z is as it was
    tables.replace(path, FLAT, [], pl.col("size") == 0)
    assert tables.open_table(path, FLAT).scan().collect()["name"].to_list() == ["y", None]
    tables.replace(path, FLAT, [_flat("all")], "true")
    assert tables.open_table(path, FLAT).scan().collect()["name"].to_list() == ["all"]


def test_rewrite_may_change_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, FLAT, [_flat("x")], keys=["k"])
    other = TableKind("flat", 1, {"name": pl.String(), "when": pl.Datetime("us", "UTC")})
    tables.rewrite(path, other, [pl.DataFrame({"name": ["z"], "when": [None]})])
    assert tables.open_table(path, other).scan().collect().rows() == [("z", None)]
    assert tables.stored_kind(path).schema == other.schema
    assert tables.committed(path, ["k"]) == {"k"}
    with pytest.raises(StoreError, match="has the columns name, when; the rows to add have name"):
        tables.append(path, FLAT, [_flat("y")])


def test_parts_are_of_no_version_until_they_are_committed(tmp_path: Path) -> None:
    path = tmp_path / "t"
    parts = [
        tables.write_part(path, KIND, _frame(b, "b", "a"), name="mine", bucket=b) for b in (3, 12)
    ]
    assert parts[0].path == Path("bucket=3/mine.parquet")
    assert [part.rows for part in parts] == [2, 2]
    assert not tables.exists(path)
    tables.commit(path, KIND, parts, numbers={"n": 4})
    table = tables.open_table(path, KIND)
    assert table.partitions("bucket") == ["12", "3"]
    assert table.scan(bucket=3).collect()["name"].to_list() == ["b", "a"]  # as they came
    assert (table.rows(), table.rows(bucket=12), table.rows(bucket=5)) == (4, 2, 0)
    assert table.files_of(bucket=3) == [path / "bucket=3/mine.parquet"]
    assert tables.recorded(path, "n") == 4
    assert tables.commit(path, KIND, remove=table.files_of(bucket=3)) == table.version + 1
    assert _names(path) == ["a", "b"]


def test_a_named_part_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t"
    assert tables.find_part(path, KIND, "mine", bucket=1) is None
    first = tables.write_part(path, KIND, _frame(1, "x"), name="mine", bucket=1)
    again = tables.write_part(path, KIND, _frame(1, "y", "z"), name="mine", bucket=1)
    assert again == first == tables.find_part(path, KIND, "mine", bucket=1)
    for name in ("../out", "a/b", "a b", ".hidden"):
        with pytest.raises(ValueError, match="cannot be in a path"):
            tables.write_part(path, KIND, _frame(1, "x"), name=name, bucket=1)
    unnamed = {tables.write_part(path, KIND, _frame(1, "x"), bucket=1).path for _ in range(2)}
    assert len(unnamed) == 2


def test_a_part_lies_in_the_order_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, SORTED, [_frame(0, "c", "a", "b")])
    table = tables.open_table(path, SORTED)
    assert table.in_one_file(bucket=0)
    assert table.scan(bucket=0).collect()["name"].to_list() == ["a", "b", "c"]
    tables.append(path, SORTED, [_frame(0, "0")])
    assert not tables.open_table(path, SORTED).in_one_file(bucket=0)


RAGGED = TableKind(
    "ragged",
    1,
    {
        "user_id": pl.String(),
        "ts": pl.Datetime("us", "UTC"),
        "flag": pl.Int8(),
        "kinds": pl.List(pl.Int32()),
        "words": pl.List(pl.String()),
        "key": pl.String(),
        "bucket": pl.Int32(),
    },
    ("key", "bucket"),
)


def test_other_readers_read_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "t"
    frame = pl.DataFrame(
        {
            "user_id": ["Zoë", "a\nb", None],
            "ts": [
                datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
                None,
                datetime(1970, 1, 1, tzinfo=UTC),
            ],
            "flag": [1, None, -1],
            "kinds": [[1, 2], [], None],
            "words": [["x", None], None, []],
            "key": ["2024-01-01T000001.000001Z", "2024-01-02", "2024-01-01T000001.000001Z"],
            "bucket": [0, 1, 0],
        },
        schema=dict(RAGGED.schema),
    )
    tables.append(path, RAGGED, [frame])
    arrow = DeltaTable(str(path)).to_pyarrow_table()
    theirs = pl.DataFrame(pl.from_arrow(arrow)).select(frame.columns)
    assert_frame_equal(theirs.sort("user_id"), frame.sort("user_id"))
    table = tables.open_table(path, RAGGED)
    files = [str(file) for file in table.files_of()]
    query = "SELECT * FROM read_parquet(?, hive_partitioning = false) ORDER BY user_id NULLS FIRST"
    theirs = duckdb.sql(query, params=[files]).to_arrow_table()
    mine = frame.select(list(RAGGED.columns)).sort("user_id")
    utc = pl.col("ts").dt.convert_time_zone("UTC")
    assert_frame_equal(pl.DataFrame(theirs).with_columns(utc), mine)
    assert table.scan(key="2024-01-02", bucket=1).collect()["user_id"].to_list() == ["a\nb"]
    assert_frame_equal(table.scan().sort("user_id").collect(), mine)


def test_no_value_of_a_row_is_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "SECRET-1"), _frame(1, "SECRET-2")])
    tables.replace(path, KIND, [_frame(0, "SECRET-3")], "bucket = 0")
    tables.vacuum(path)
    log = [file.read_bytes() for file in (path / "_delta_log").iterdir()]
    assert log
    assert not any(b"SECRET" in content for content in log)


def test_vacuum_leaves_the_newest_version_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "t"
    for n in range(4):
        tables.append(path, KIND, [_frame(0, f"x{n}")], keys=[f"k{n}"], numbers={"n": n})
    tables.replace(path, KIND, [_frame(1, "only")], "true")
    tables.write_part(path, KIND, _frame(1, "an orphan"), bucket=1)
    before = tables.open_table(path, KIND)
    assert tables.vacuum(path) > 0
    after = tables.open_table(path, KIND)
    assert after == before
    assert _names(path) == ["only"]
    assert [p.parent.name for p in path.rglob("*.parquet") if "_delta_log" not in p.parts] == [
        "bucket=1"
    ]
    for version in range(before.version):
        with pytest.raises(Exception, match=r"No files in log segment|version"):
            DeltaTable(str(path), version=version)
    assert tables.committed(path, ["k0", "k3", "k4"]) == {"k0", "k3"}
    assert tables.recorded(path, "n") == 3
    assert tables.vacuum(path) == 0
    tables.append(path, KIND, [_frame(0, "more")], keys=["k4"])
    assert _names(path) == ["more", "only"]
    assert tables.committed(path, ["k0", "k4"]) == {"k0", "k4"}
    tables.vacuum(path)
    assert _names(path) == ["more", "only"]


def test_a_vacuum_that_is_cut_off_leaves_the_newest_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t"
    for n in range(3):
        tables.replace(path, KIND, [_frame(0, f"x{n}")], "true")
    files = len([*path.rglob("*")])
    unlink = Path.unlink
    left = [0]

    def cut_off(self: Path, *, missing_ok: bool = False) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(self, missing_ok=missing_ok)

    for allowed in range(files):
        left[0] = allowed % 2 + 1  # one or two files further each time
        monkeypatch.setattr(Path, "unlink", cut_off)
        try:
            tables.vacuum(path)
            break
        except KeyboardInterrupt:
            monkeypatch.undo()
            assert _names(path) == ["x2"]
    monkeypatch.undo()
    assert _names(path) == ["x2"]
    assert tables.vacuum(path) == 0


def _append_many(path: Path, mine: int) -> None:
    for n in range(8):
        tables.append(path, KIND, [_frame(mine, f"{mine}-{n}")], keys=[f"{mine}-{n}"])


def test_commits_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(_append_many, path, mine) for mine in range(4)]:
            done.result()
    expected = sorted(f"{mine}-{n}" for mine in range(4) for n in range(8))
    assert _names(path) == expected
    assert tables.committed(path, expected) == set(expected)


def test_a_commit_that_was_beaten_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")], numbers={"n": 1})
    table = tables.open_table(path, KIND)
    part = tables.write_part(path, KIND, _frame(0, "y"), bucket=0)
    tables.commit(path, KIND, [part], remove=table.files_of())
    late = tables.write_part(path, KIND, _frame(0, "z"), bucket=0)
    with pytest.raises(StoreError, match="another process has changed the table meanwhile"):
        tables.commit(path, KIND, [late], remove=table.files_of())
    with pytest.raises(StoreError, match="is at version 1, not 0"):
        tables.commit(path, KIND, [late], since=table.version)
    assert _names(path) == ["y"]


@pytest.mark.parametrize("what", ["remove", "number", "since"])
def test_a_race_for_the_same_thing_has_one_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The other commit happens after ours has looked at the table, before it is written."""
    path = tmp_path / "t"
    tables.append(path, KIND, [_frame(0, "x")])
    table = tables.open_table(path, KIND)
    arguments = {
        "remove": {"remove": table.files_of()},
        "number": {"numbers": {"n": 2}},
        "since": {"since": table.version},
    }[what]
    write = Log.write

    def overtaken(self: Log, *given: object, **named: object) -> None:
        monkeypatch.setattr(Log, "write", write)
        theirs = {k: v for k, v in arguments.items() if k != "since"}
        tables.commit(
            path, KIND, [tables.write_part(path, KIND, _frame(0, "a"), bucket=0)], **theirs
        )  # type: ignore[arg-type]
        write(self, *given, **named)  # type: ignore[arg-type]

    mine = tables.write_part(path, KIND, _frame(0, "b"), bucket=0)
    monkeypatch.setattr(Log, "write", overtaken)
    with pytest.raises(StoreError, match="another process has changed the table meanwhile"):
        tables.commit(path, KIND, [mine], **arguments)  # type: ignore[arg-type]
    assert _names(path) == (["a"] if what == "remove" else ["a", "x"])


def test_a_table_that_two_make_at_once_has_the_rows_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t"
    create = tables.create

    def overtaken(*given: object) -> bool:
        monkeypatch.setattr(tables, "create", create)
        tables.append(path, KIND, [_frame(0, "theirs")])
        return create(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "create", overtaken)
    tables.append(path, KIND, [_frame(0, "mine")], keys=["k"])
    assert _names(path) == ["mine", "theirs"]
    assert tables.committed(path, ["k"]) == {"k"}


def test_what_a_killed_writer_left_is_cleaned_by_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / "t"
    folder = path / "bucket=0"
    folder.mkdir(parents=True)
    dead = folder / ".x.parquet.999999999.draft"
    alive = folder / f".y.parquet.{os.getpid()}.draft"
    dead.touch()
    alive.touch()
    tables.append(path, KIND, [_frame(0, "x")])
    assert not dead.exists()
    assert alive.exists()


KILLED = """
import sys
from pathlib import Path
import polars as pl
from runtime import tables
from runtime.tables import TableKind
KIND = TableKind("things", 1, {"name": pl.String(), "size": pl.Int64(), "bucket": pl.Int32()},
                 ("bucket",))
path = Path(sys.argv[1])
print("ready", flush=True)
for n in range(1, 1000):
    rows = pl.DataFrame({"name": [str(n)] * 500, "size": range(500), "bucket": [0, 1] * 250})
    if n % 10 == 0:
        tables.vacuum(path)
    tables.replace(path, KIND, [rows], "true")
"""


@pytest.mark.parametrize("after_ms", [15, 40, 90, 170, 260, 400])
def test_a_kill_at_any_moment_leaves_one_whole_version(tmp_path: Path, after_ms: int) -> None:
    path = tmp_path / "t"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(after_ms / 1000)
    process.kill()
    process.wait()
    if tables.exists(path):
        rows = tables.open_table(path, KIND).scan().collect()
        assert rows.height == 500
        assert rows["name"].n_unique() == 1
    tables.replace(path, KIND, [_frame(0, "after")], "true")
    tables.vacuum(path)
    assert _names(path) == ["after"]
    assert len([p for p in path.rglob("*.parquet") if "_delta_log" not in p.parts]) == 1
