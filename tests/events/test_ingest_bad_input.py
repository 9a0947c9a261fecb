"""Whatever is wrong with a file ends in one line or in quarantine, and leaves what is stored."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_tools import COLUMNS, HEAD, put, settings_in, table

from events.contract import EVENTS
from events.ingest import ingest
from runtime.errors import HoldfastError, OutputError, StoreError
from runtime.tables import TableKind, append

GOOD = "1,u,2024-03-01 10:00:00,view,\n"
LATER = "2,u,2024-03-02 10:00:00,view,\n"


def _zipped(text: str) -> bytes:
    return gzip.compress(text.encode())


def _parquet() -> bytes:
    held = io.BytesIO()
    pl.DataFrame({"user": ["u"] * 99, "ts": ["2024-03-01"] * 99}).write_parquet(held)
    return held.getvalue()


@dataclass(frozen=True)
class Refused:
    """A file (or none) that makes the ingest end with one line of these words."""

    name: str
    content: str | bytes | None
    words: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)


REFUSED = {
    "missing file": Refused("-", None, ("none.csv", "no such file"), {"path": "none.csv"}),
    "no match": Refused("-", None, ("*.none", "no file matches"), {"path": "*.none"}),
    "folder without files": Refused(
        "sub/readme.md", "x", ("sub", "holds no file"), {"path": "sub"}
    ),
    "empty file": Refused("bad.csv", "", ("bad.csv", "empty")),
    "blank file": Refused("bad.csv", "\n \n", ("bad.csv", "empty")),
    "empty gzip": Refused("bad.csv.gz", _zipped(""), ("bad.csv.gz", "empty"), {"path": "*.gz"}),
    "header alone": Refused("bad.csv", HEAD, ("bad.csv", "no row")),
    "missing column": Refused("bad.csv", "id,user,what,paid\n1,u,v,\n", ("'ts'", "found 'id'")),
    "misspelt column": Refused(
        "-", None, ("'usr'", "did you mean 'user'"), {"columns": COLUMNS | {"user_id": "usr"}}
    ),
    "doubled column": Refused("bad.csv", "user,user,ts\n1,2,3\n", ("two columns", "'user'")),
    "binary": Refused("bad.csv", bytes(range(256)) * 9, ("bad.csv", "binary")),
    "Parquet named csv": Refused("bad.csv", _parquet(), ("bad.csv", "Parquet")),
    "Excel named csv": Refused("bad.csv", b"PK\x03\x04" + b"x" * 99, ("bad.csv", "Excel")),
    "UTF-16 unmarked": Refused("bad.csv", (HEAD + GOOD).encode("utf-16-le"), ("UTF-16", "UTF-8")),
    "UTF-16 cut off": Refused(
        "bad.csv", (HEAD + GOOD).encode("utf-16")[:-1], ("bad.csv", "encoding")
    ),
    "other encoding": Refused("-", None, ("encoding", "'klingon'"), {"encoding": "klingon"}),
    "no encoding of text": Refused("-", None, ("encoding", "'hex'"), {"encoding": "hex"}),
    "misspelt time format": Refused(
        "-", None, ("time_format", "'epoch_sec'", "epoch_s"), {"time_format": "epoch_sec"}
    ),
    "days since no date": Refused(
        "-", None, ("time_format", "days since"), {"time_format": "days since 2024-02-30"}
    ),
    "packed by bzip2": Refused("bad.csv", b"BZh91AY" + b"x" * 99, ("bad.csv", "bzip2", "unpack")),
    "cut gzip": Refused(
        "bad.csv.gz",
        _zipped((HEAD + LATER) * 999)[:-30],
        ("bad.csv.gz", "cut off"),
        {"path": "*.gz"},
    ),
    "broken gzip": Refused(
        "bad.csv.gz", b"\x1f\x8b\x08\0" + b"x" * 99, ("bad.csv.gz", "broken"), {"path": "*.gz"}
    ),
    "not gzip": Refused("bad.csv.gz", HEAD + GOOD, ("bad.csv.gz", "not gzip"), {"path": "*.gz"}),
    "cut Parquet": Refused(
        "bad.parquet", _parquet()[:-9], ("bad.parquet", "cut off"), {"path": "*.parquet"}
    ),
    "JSON array": Refused("bad.json", '[{"user": 1}]', ("bad.json", "array"), {"path": "*.json"}),
    "JSON without the user": Refused(
        "bad.json", '{"usr": 1, "ts": "2024-03-01"}', ("'user'", "'usr'"), {"path": "*.json"}
    ),
    "unknown time format": Refused("bad.csv", HEAD + "2,u,soon,v,\n", ("'soon'", "bad.csv")),
    "two ways to read a date": Refused(
        "bad.csv",
        HEAD + "2,u,01/02/2024,v,\n",
        ("'01/02/2024'", "time_format"),
        {"path": "bad.csv", "name": "other"},
    ),
    "no usable row": Refused("bad.csv", HEAD + "2,,2024-03-01,v,\n", ("none of its 1", "user id")),
    "earliest": Refused("-", None, ("events.earliest", "'x'"), {"events": {"earliest": "x"}}),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_one_line(tmp_path: Path, case: Refused) -> None:
    put(tmp_path, "good.csv", HEAD + GOOD)
    ingest(settings_in(tmp_path))
    before = table(tmp_path)
    put(tmp_path, "other.csv", HEAD + LATER)
    if case.content is not None:
        put(tmp_path, case.name, case.content)
    with pytest.raises(HoldfastError) as caught:
        ingest(settings_in(tmp_path, **case.changes))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    for word in case.words:
        assert word in str(caught.value)
    assert table(tmp_path).equals(before)
    assert table(tmp_path, "quarantine").is_empty()


QUARANTINED = {
    "unreadable date": ("9,u,soon,view,", "unreadable time 'soon' in 'ts'; expected %Y-%m-%d"),
    "another format": ("9,u,01.03.2024,view,", "unreadable time '01.03.2024'"),
    "no time": ("9,u,,view,", "the time in 'ts' is empty"),
    "year 0001": ("9,u,0001-01-01 00:00:00,view,", "is before events.earliest, 1970-01-01"),
    "year 2262": ("9,u,2262-04-12 00:00:00,view,", "is not before events.latest"),
    "null user": ("9,,2024-03-01 10:00:00,view,", "the user id in 'user' is empty"),
    "blank user": ("9,  ,2024-03-01 10:00:00,view,", "the user id in 'user' is empty"),
    "NaN": ("9,u,2024-03-01 10:00:00,view,NaN", "amount 'NaN' in 'paid' is not finite"),
    "infinite": ("9,u,2024-03-01 10:00:00,view,-inf", "amount '-inf' in 'paid' is not finite"),
    "text amount": ("9,u,2024-03-01 10:00:00,view,a{b}", "amount 'a{b}' in 'paid' is not a number"),
    "no event": ("9,u,2024-03-01 10:00:00,,1", "the event in 'what' is empty"),
    "too few fields": ("9,u", "2 fields where 5 are expected"),
    "too many fields": ("9,u,2024-03-01 10:00:00,view,1,2", "6 fields where 5 are expected"),
    "broken UTF-8": (b"9,\xff\xfe,2024-03-01 10:00:00,view,", "not UTF-8"),
    "line of 10 MB": ("9,u,2024-03-01 10:00:00," + "x" * 10_000_000 + ",", "a line of 10,000,025"),
    "open quote": ('9,"u,2024-03-01 10:00:00,view,', "quote"),
}


@pytest.mark.parametrize("line", QUARANTINED.values(), ids=QUARANTINED.keys())
def test_quarantined_with_source_line_and_reason(
    tmp_path: Path, line: tuple[str | bytes, str]
) -> None:
    bad = line[0] if isinstance(line[0], bytes) else line[0].encode()
    put(tmp_path, "log.csv", (HEAD + GOOD).encode() + bad + b"\n" + LATER.encode())
    result = ingest(settings_in(tmp_path))
    assert (result.rows_read, result.rows_added, result.quarantined) == (3, 2, 1)
    held = table(tmp_path, "quarantine").row(0, named=True)
    assert (held["source"], held["file"], held["line"]) == ("log", "log.csv", 3)
    assert line[1] in held["reason"]
    assert "9" in held["raw"]
    assert len(held["raw"]) <= 4096
    assert table(tmp_path)["event_id"].to_list() == ["1", "2"]


def test_bad_json_lines_are_quarantined(tmp_path: Path) -> None:
    good = '{"user": "u", "ts": "2024-03-01", "n": 1}\n'
    bad = ["{oops\n", "[1]\n", "{}\n", '{"user": NaN}\n', '{"user": 1e999, "ts": "x"}\n']
    put(tmp_path, "log.ndjson", good + "".join(bad) + good.replace("01", "02"))
    settings = settings_in(tmp_path, path="*.ndjson", columns={"user_id": "user", "ts": "ts"})
    assert (ingest(settings).rows_added, table(tmp_path, "quarantine").height) == (2, 5)
    assert sorted(table(tmp_path, "quarantine")["line"]) == [2, 3, 4, 5, 6]


def test_a_store_of_another_version_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", HEAD + GOOD)
    kind = TableKind("events", 0, EVENTS.schema, EVENTS.partition_by)
    append(tmp_path / "store" / "events", kind, [pl.DataFrame(schema=dict(EVENTS.schema))])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="schema version 0"):
        ingest(settings_in(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    store = tmp_path / "store"

    def mount_with(options: str) -> None:
        store.mkdir(exist_ok=True)
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(store)]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")

    yield mount_with
    subprocess.run(["umount", str(store)], capture_output=True, check=False)


@pytest.mark.parametrize("size_kib", [16, 64, 200])
def test_a_full_disk_changes_nothing(
    tmp_path: Path, mount: Callable[[str], None], size_kib: int
) -> None:
    mount("size=600k")
    put(tmp_path, "log.csv", HEAD + GOOD)
    ingest(settings_in(tmp_path))
    before = table(tmp_path)
    rows = (f"{i},{i * 7919 % 99991:x},2024-03-01 10:00:00,v{i},{i}.5\n" for i in range(20_000))
    put(tmp_path, "more.csv", HEAD + "".join(rows))
    free = os.statvfs(tmp_path / "store")
    ballast = free.f_bavail * free.f_frsize - size_kib * 1024
    put(tmp_path, "store/ballast", b"x" * max(0, ballast))
    with pytest.raises(OutputError, match="the disk is full; free some space") as caught:
        ingest(settings_in(tmp_path))
    assert "\n" not in str(caught.value)
    assert table(tmp_path).equals(before)


def test_a_read_only_store_is_named(tmp_path: Path, mount: Callable[[str], None]) -> None:
    mount("ro")
    put(tmp_path, "log.csv", HEAD + GOOD)
    with pytest.raises(OutputError, match=r"store.*cannot be written"):
        ingest(settings_in(tmp_path))


def test_json_without_anything_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "log.ndjson", "{}\n{}\n")
    with pytest.raises(HoldfastError, match=r"none of its 2 rows|no column 'user'"):
        ingest(settings_in(tmp_path, path="*.ndjson"))
