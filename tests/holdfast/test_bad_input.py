"""Every bad input ends with exit 2 and one line that names the thing, the value and the remedy,
or lies in quarantine with its reason; what was stored before is unchanged."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from small_project import small_log, write_small_project

from events.contract import EVENTS
from holdfast.cli import run
from runtime.tables import TableKind, append

HEAD = "id,customer,when,what,paid,where\n"
GOOD = "g{n},00001,2024-03-0{n} 10:00:00,view,,app\n"
TWO_GOOD = GOOD.format(n=1) + GOOD.format(n=2)
Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """`spoil` makes the input bad; `words` must be in the error line, or in the reason of the
    `quarantined` rows."""

    name: str
    spoil: Spoil
    words: tuple[str, ...]
    command: tuple[str, ...] = ("ingest",)
    quarantined: int | None = None
    fresh: bool = field(default=False)  # on a project with nothing stored yet


def _row(text: str | bytes) -> Spoil:
    """A file with two good rows and a bad one between them."""
    line = text if isinstance(text, bytes) else text.encode()
    good = [GOOD.format(n=n).encode() for n in (1, 2)]
    return _file("bad.csv", HEAD.encode() + good[0] + line + b"\n" + good[1])


def _file(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / "data" / name).write_bytes(content) and None


def _config(old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "holdfast.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return spoil


def _truncated(name: str, whole: Callable[[Path], None]) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "data" / name
        whole(path)
        path.write_bytes(path.read_bytes()[:-20])
        _config('path = "data/*.csv"', f'path = ["data/part-0.csv", "data/{name}"]')(folder)

    return spoil


def _gzip(path: Path) -> None:
    path.write_bytes(gzip.compress((HEAD + TWO_GOOD).encode()))


def _parquet(path: Path) -> None:
    pl.read_csv((HEAD + TWO_GOOD).encode(), infer_schema=False).write_parquet(path)


def _one_class(folder: Path) -> None:
    log = small_log().filter(pl.col("when") < pl.datetime(2024, 2, 1, time_zone="UTC"))
    last = log.head(1).with_columns(
        pl.datetime(2024, 8, 1, time_zone="UTC").alias("when"),
        pl.lit(10_000_000).cast(log.schema["id"]).alias("id"),
        pl.lit("99999").alias("customer"),
    )
    pl.concat([log, last]).write_csv(
        folder / "data" / "part-0.csv", datetime_format="%Y-%m-%d %H:%M:%S"
    )
    _config("within_days = 30", "within_days = 3650")(folder)
    _config("cutoffs = 6", "cutoffs = 1")(folder)
    assert run(["ingest", "-c", str(folder / "holdfast.toml")]) == 0


def _older_store(folder: Path) -> None:
    kind = TableKind("events", 0, EVENTS.schema, EVENTS.partition_by)
    append(folder / "store" / "events", kind, [pl.DataFrame(schema=dict(EVENTS.schema))])


def _mounted(where: str, options: str) -> Spoil:
    def spoil(folder: Path) -> None:
        target = folder / where
        target.mkdir(exist_ok=True)
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(target)]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")

    return spoil


BIG_LINE = "b1,00001,2024-03-01 11:00:00," + "x" * 10_000_000 + ",,app"
CASES = [
    Case("missing file", _config("data/*.csv", "data/none.csv"), ("none.csv", "no such file")),
    Case("empty file", _file("bad.csv", b""), ("bad.csv", "empty")),
    Case("no matches", _config("data/*.csv", "data/*.nothing"), ("*.nothing", "match")),
    Case("header without rows", _file("bad.csv", HEAD.encode()), ("bad.csv", "no row")),
    Case("missing column", _config('"when"', '"moment"'), ("'moment'", "found", "when")),
    Case("misspelt column", _config('"customer"', '"custmer"'), ("'custmer'", "'customer'")),
    Case("unknown key", _config("[churn]", "[churn]\nhorizn = 3"), ("churn.horizn", "known")),
    Case("unreadable date", _row("b,00001,soon,view,,app"), ("soon",), quarantined=1),
    Case("year 0001", _row("b,00001,0001-01-01 00:00:00,view,,app"), ("0001",), quarantined=1),
    Case("year 2262", _row("b,00001,2262-04-12 00:00:00,view,,app"), ("2262",), quarantined=1),
    Case("mixed times", _row("b,00001,31/12/2023 10:00,view,,app"), ("31/12",), quarantined=1),
    Case("null user", _row("b,,2024-03-01 10:00:00,view,,app"), ("user",), quarantined=1),
    Case("NaN amount", _row("b,00001,2024-03-01 10:00:00,view,NaN,app"), ("NaN",), quarantined=1),
    Case("infinite", _row("b,00001,2024-03-01 10:00:00,view,-inf,app"), ("inf",), quarantined=1),
    Case("text amount", _row("b,00001,2024-03-01 10:00:00,view,ten,app"), ("ten",), quarantined=1),
    Case("binary", _file("bad.csv", bytes(range(256)) * 40), ("bad.csv",)),
    Case("truncated gzip", _truncated("bad.csv.gz", _gzip), ("bad.csv.gz", "gzip")),
    Case("truncated Parquet", _truncated("bad.parquet", _parquet), ("bad.parquet", "Parquet")),
    Case("UTF-8", _row(b"b,\xff\xfe1,2024-03-01 10:00:00,view,,app"), ("UTF-8",), quarantined=1),
    Case("line of 10 MB", _row(BIG_LINE), ("long",), quarantined=1),
    Case(
        "cutoff before the first event",
        lambda _: None,
        ("2020-01-01", "2024-01-0"),
        ("snapshot", "--cutoff", "2020-01-01"),
    ),
    Case(
        "as of before the first event",
        lambda _: None,
        ("2020-01-01",),
        ("train", "--as-of", "2020-01-01"),
    ),
    Case(
        "no matured label",
        _config("horizon_days = 21", "horizon_days = 3000"),
        ("3000", "longest"),
        ("train",),
    ),
    Case("one class only", _one_class, ("class",), ("train",), fresh=True),
    Case("store of another version", _older_store, ("schema version 0",), fresh=True),
    Case("full disk", _mounted("store", "size=150k"), ("store", "full"), fresh=True),
    Case("read-only store", _mounted("store", "ro"), ("store", "cannot be written"), fresh=True),
    Case(
        "read-only output",
        _mounted("exports", "ro"),
        ("exports", "cannot be written"),
        ("export", "--format", "csv"),
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "p"
    for mounted in ("store", "exports"):
        subprocess.run(["umount", tmp_path / "p" / mounted], capture_output=True, check=False)


def _stored(folder: Path) -> dict[str, list[dict[str, object]]]:
    tables = {}
    for path in sorted((folder / "store").glob("*/_delta_log")):
        if path.parent.name != "quarantine":
            frame = pl.DataFrame(pl.from_arrow(DeltaTable(str(path.parent)).to_pyarrow_table()))
            tables[path.parent.name] = frame.sort(frame.columns).to_dicts()
    return tables


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_bad_input(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_small_project(folder)
    for earlier in () if case.fresh else _earlier(case):
        assert run([*earlier, "-c", str(config)]) == 0
    before = _stored(folder) if not case.fresh else None
    case.spoil(folder)
    if before is None:
        before = _stored(folder)
    capsys.readouterr()
    code = run([*case.command, "-c", str(config)])
    out, err = capsys.readouterr()
    if case.quarantined is None:
        _assert_refused(case, code, out, err)
        assert _stored(folder) == before
    else:
        _assert_quarantined(case, code, folder, before)


def _earlier(case: Case) -> list[tuple[str, ...]]:
    if case.command[0] == "export":
        train = ("train", "--model", "logistic")
        return [("ingest",), train, ("score",)]
    return [("ingest",)]


def _assert_refused(case: Case, code: int, out: str, err: str) -> None:
    assert code == 2, err
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert "Error: " in last
    assert "Traceback" not in err
    for word in case.words:
        assert word in last, last


def _assert_quarantined(
    case: Case, code: int, folder: Path, before: dict[str, list[dict[str, object]]]
) -> None:
    assert code == 0
    held = pl.DataFrame(
        pl.from_arrow(DeltaTable(str(folder / "store" / "quarantine")).to_pyarrow_table())
    )
    assert held.height == case.quarantined
    row = held.row(0, named=True)
    assert row["source"] == "shop"
    assert row["file"].endswith("bad.csv")
    assert row["line"] == 3
    for word in case.words:
        assert word in row["reason"], row["reason"]
    assert len(_stored(folder)["events"]) == len(before["events"]) + 2
