"""After an erasure the person is in no byte that Holdfast has written; nobody else is touched."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ingest_tools import HEAD, put, settings_in
from polars.testing import assert_frame_equal

from events import erase as erasing
from events import erase_tables
from events.erase import Receipt, erase, read_ids
from events.erase_text import Wanted, erase_from_text
from events.erased import erased_filter, erased_path, ids_in, read_erased, write_erased
from events.ingest import ingest
from events.optimize import optimize
from runtime import tables
from runtime.errors import InputError, StoreError, UsageError
from runtime.files import digest_file, write_json
from runtime.lock import writing_to
from runtime.settings import Settings
from runtime.tables import TableKind

GONE, KIN = "person-31337", "person-313371"  # the second contains the first
USERS: dict[str, Any] = {
    "path": "known/u.csv",
    "columns": {"user_id": "id"},
    "attributes": ["plan"],
}
SCORES = TableKind(
    "scores",
    1,
    {"user_id": pl.String(), "p": pl.Float32(), "as_of_key": pl.String(), "bucket": pl.Int32()},
    ("as_of_key", "bucket"),
)


def _project(folder: Path) -> Settings:
    """Two ingests and more versions, quarantined rows, users, scores, staged work, exports and
    tracked files; the person is in each of them."""
    people = [GONE, KIN, *(f"u{n}" for n in range(20))]
    project = settings_in(folder, users=USERS)
    for part in range(2):
        rows = "".join(
            f"{part}-{n},{people[n % 22]},2024-03-{n % 28 + 1:02d} 10:00:00,view,{n % 5}\n"
            for n in range(200)
        )
        bad = "".join(f"b,{who},2024-03-01 10:00:00,view,much\n" for who in (GONE, KIN))
        ragged = "".join(f"c,{who},2024-03-01 10:00:00\n" for who in (GONE, KIN))
        put(folder, f"{part}.csv", HEAD + rows + bad + ragged)
        put(folder, "known/u.csv", "id,plan\n" + "".join(f"{who},p{part}\n" for who in people))
        ingest(project)
    for key in ("2024-04-01", "2024-05-01"):
        frame = pl.DataFrame({"user_id": people, "p": 0.5, "as_of_key": key, "bucket": 0})
        tables.append(project.store / "scores", SCORES, [frame])
    put(folder, f"store/.staging/ingest/x/{GONE}.json", json.dumps([GONE]))
    put(folder, "store/sequences/buckets/1.arrow", f"..{GONE}..")
    put(folder, "store/cache/c.parquet", b"")
    pl.DataFrame({"user_id": people, "x": 1}).write_parquet(folder / "store/cache/c.parquet")
    _export(folder / "exports" / "out.csv", people)
    put(folder, "mlruns/artifacts/worst.csv", f"place,user\n1,{KIN}\n2,{GONE}\n")
    put(folder, "mlruns/artifacts/worst.jsonl", f'{{"user": "{GONE}"}}\n{{"user": "{KIN}"}}\n')
    return project


def _export(path: Path, people: list[str]) -> None:
    put(path.parent, path.name, '"user_id","note"\n' + "".join(f'"{p}","a\n{p}"\n' for p in people))
    said = {"file": path.name, "rows": len(people), "sha256": digest_file(path), "bytes": 1}
    write_json(path.with_name(path.name + ".manifest.json"), said)


def _rows(project: Settings) -> dict[str, pl.DataFrame]:
    """Of each table what others have in it."""
    found = {}
    for path in erase_tables.table_folders(project.store):
        kind = tables.stored_kind(path)
        frame = tables.open_table(path, kind).scan().collect()
        name = "raw" if kind.name == "quarantine" else "user_id"
        own = frame.filter(~pl.col(name).str.contains(rf"\b{GONE}\b").fill_null(value=False))
        found[path.name] = own.sort(own.columns)
    return found


def _holds(folder: Path, needle: str) -> list[str]:
    """The files in which the id stands, in their bytes or, unpacked, in a text column; the longer
    id that contains it does not count."""
    found = []
    kin = needle + "1"
    for path in folder.rglob("*"):
        if path.is_file():
            seen = needle.encode() in path.read_bytes().replace(kin.encode(), b"")
            if path.suffix == ".parquet":
                texts = str(pl.read_parquet(path).to_dicts())
                seen |= needle in texts.replace(kin, "")
            if seen or needle in str(path).replace(kin, ""):
                found.append(str(path))
    return found


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ready") / "p"
    folder.mkdir()
    _project(folder)
    return folder


@pytest.fixture
def project(ready: Path, tmp_path: Path) -> Settings:
    shutil.copytree(ready, tmp_path / "p")
    return settings_in(tmp_path / "p", users=USERS)


WRITTEN = ("store", "exports", "mlruns")


def _anywhere(project: Settings, needle: str = GONE) -> list[str]:
    root = project.store.parent
    return [path for name in WRITTEN for path in _holds(root / name, needle)]


def test_nothing_is_left_and_nobody_else_is_touched(project: Settings) -> None:
    root, before = project.store.parent, _rows(project)
    assert {Path(p).relative_to(root).parts[0] for p in _anywhere(project)} == set(WRITTEN)
    receipt = erase(project, [GONE])
    assert _anywhere(project) == []
    after = _rows(project)
    assert set(after) == {"events", "users", "quarantine", "scores"}
    for name, rows in after.items():
        assert_frame_equal(rows, before[name])
    assert receipt.found
    assert {Path(t.table).name: t.rows for t in receipt.tables} == {
        "events": 20,
        "quarantine": 4,
        "scores": 2,
        "users": 1,
    }
    assert {Path(p).name: n for p, n in receipt.files.items()} == {
        "c.parquet": 1,
        "out.csv": 1,
        "worst.csv": 1,
        "worst.jsonl": 1,
    }
    assert receipt.rows == 31
    assert receipt.left == ()
    _check_receipt(project, receipt)


def _check_receipt(project: Settings, receipt: Receipt) -> None:
    said = json.loads(receipt.path.read_text())
    assert said["rows"] == receipt.rows
    assert said["users"] == {read_erased(project.store).mark(GONE): True}
    events = next(t for t in said["tables"] if t["table"].endswith("events"))
    assert events["version"] == events["version_before"] + 1
    assert receipt.path.parent == project.store / "erasures"


def test_the_manifest_fits_the_file_again(project: Settings) -> None:
    file = project.exports / "out.csv"
    before = list(csv.reader(io.StringIO(file.read_text())))
    erase(project, [GONE])
    said = json.loads(file.with_name("out.csv.manifest.json").read_text())
    assert said == {
        "file": "out.csv",
        "rows": 21,
        "sha256": digest_file(file),
        "bytes": file.stat().st_size,
    }
    after = list(csv.reader(io.StringIO(file.read_text())))
    assert after == [row for row in before if row[0] != GONE]


def test_older_versions_can_be_read_no_more(project: Settings) -> None:
    events = project.store / "events"
    old = DeltaTable(str(events), version=0).version()
    assert old == 0
    erase(project, [GONE])
    with pytest.raises(Exception, match="No files in log segment"):
        DeltaTable(str(events), version=0)


def test_a_later_ingest_does_not_bring_the_person_back(project: Settings) -> None:
    erase(project, [GONE])
    before = _rows(project)
    root = project.store.parent
    rows = "".join(f"{n},{GONE},2024-05-0{n} 10:00:00,view,1\n" for n in range(1, 9))
    bad = f"b,{GONE},2024-05-01 10:00:00,view,much\nc,{GONE}\n"
    put(root, "again.csv", HEAD + rows + bad + "n,u1,2024-05-01 10:00:00,view,1\n")
    put(root, "onlyhis.csv", HEAD + rows)
    put(root, "known/u.csv", f"id,plan\n{GONE},p9\nu1,p9\n")
    result = ingest(project)
    assert (result.rows_added, result.quarantined, result.duplicates) == (1, 0, 0)
    assert _anywhere(project) == []
    after = _rows(project)
    assert after["events"].height == before["events"].height + 1
    assert_frame_equal(after["quarantine"], before["quarantine"])
    assert after["users"]["user_id"].to_list() == ["u1"]
    optimize(settings_in(root, users=USERS, events={"buckets": 5}))
    assert _anywhere(project) == []


def test_an_unknown_user_is_said_and_kept_out(
    project: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _rows(project)
    receipt = erase(project, ["nobody-at-all", "31337", "person"])
    assert not receipt.found
    assert receipt.rows == 0
    assert set(receipt.users.values()) == {False}
    assert "of 3 of 3 users nothing was found" in capsys.readouterr().err
    for name, rows in _rows(project).items():
        assert_frame_equal(rows, before[name])
    assert _anywhere(project)


def test_hundreds_at_once(project: Settings) -> None:
    empty = put(project.store.parent, "mlruns/artifacts/empty.txt", "")
    receipt = erase(project, [GONE, *(f"stranger-{n}" for n in range(300))])
    assert (receipt.rows, sum(receipt.users.values())) == (31, 1)
    assert receipt.left == ()
    assert _anywhere(project) == []
    assert empty.exists()


def test_several_at_once_and_again(project: Settings) -> None:
    first = erase(project, [GONE, "u3", "nobody"])
    assert sorted(first.users.values()) == [False, True, True]
    assert _anywhere(project) == []
    version = tables.open_table(
        project.store / "events", tables.stored_kind(project.store / "events")
    ).version
    again = erase(project, [GONE, "u3", "nobody"])
    assert not again.found
    assert again.rows == 0
    assert {t.version for t in again.tables if t.table.endswith("events")} == {version}
    assert first.path.exists()
    assert again.path != first.path


STEPS = [
    (erasing, "write_erased"),
    (erasing, "_delete_derived"),
    (erase_tables, "write_part"),
    (erase_tables, "commit"),
    (erase_tables, "vacuum"),
    (erasing, "erase_from_text"),
    (erasing, "erase_from_parquet"),
    (erasing, "write_json"),
]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[step[1] for step in STEPS])
def test_cut_off_at_any_step_a_rerun_completes_it(
    project: Settings, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, count: int
) -> None:
    before, calls, whole = _rows(project), [0], getattr(module, name)

    def cut_off(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            raise KeyboardInterrupt
        return whole(*given, **named)

    monkeypatch.setattr(module, name, cut_off)
    receipt = None
    try:
        receipt = erase(project, [GONE])
    except KeyboardInterrupt:
        for table, rows in _rows(project).items():
            assert_frame_equal(rows, before[table])
    monkeypatch.undo()
    again = erase(project, [GONE])
    whole_receipt = receipt or again  # that of the run that came to its end tells everything
    assert whole_receipt.found
    assert whole_receipt.rows == 31
    assert {Path(t.table).name: t.rows for t in whole_receipt.tables}["events"] == 20
    assert len(whole_receipt.files) == 4
    assert not [*(project.store / "erasures").glob(".unfinished-*")]
    assert _anywhere(project) == []
    for table, rows in _rows(project).items():
        assert_frame_equal(rows, before[table])
    said = json.loads((project.exports / "out.csv.manifest.json").read_text())
    assert said["sha256"] == digest_file(project.exports / "out.csv")
    assert said["rows"] == 21


@pytest.mark.parametrize("renamed", [False, True])
def test_cut_off_between_a_manifest_and_its_file(
    project: Settings, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    file, manifest = project.exports / "out.csv", project.exports / "out.csv.manifest.json"
    move = Path.replace

    def cut_off(self: Path, target: Path) -> Path:
        if Path(target) == file and not renamed:
            raise KeyboardInterrupt
        done = move(self, target)
        if Path(target) == (file if renamed else manifest):
            monkeypatch.setattr(Path, "replace", stop)
        return done

    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        erase(project, [GONE])
    monkeypatch.undo()
    assert json.loads(manifest.read_text())["rows"] == 21
    erase(project, [GONE])
    said = json.loads(manifest.read_text())
    assert (said["rows"], said["sha256"]) == (21, digest_file(file))


def test_a_mention_that_is_no_row_is_told(
    project: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    note = put(project.store.parent, "mlruns/artifacts/note.txt", f"look at {GONE}\n")
    receipt = erase(project, [GONE])
    assert receipt.left == (str(note),)
    assert "note.txt: an id still stands in it" in capsys.readouterr().err


def test_another_folder_of_exports_is_cleaned_when_it_is_named(
    project: Settings, tmp_path: Path
) -> None:
    _export(tmp_path / "elsewhere" / "out.csv", [GONE, KIN])
    erase(project, [GONE], also=[tmp_path / "elsewhere"])
    assert _holds(tmp_path / "elsewhere", GONE) == []
    assert KIN in (tmp_path / "elsewhere" / "out.csv").read_text()


def test_what_cannot_be_meant_is_refused(project: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no user is named"):
        erase(project, ["", ""])
    with pytest.raises(StoreError, match="there is no store here"):
        erase(settings_in(tmp_path / "empty"), [GONE])
    with pytest.raises(InputError, match="elsewhere: is no folder"):
        erase(project, [GONE], also=[tmp_path / "elsewhere"])
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        read_ids(tmp_path / "none.txt")
    work = project.store / ".staging" / "snapshots-1"
    with writing_to(work), pytest.raises(StoreError, match="is writing to it"):
        erase(project, [GONE])


def test_ids_come_from_a_file_one_a_line(tmp_path: Path) -> None:
    listed = put(tmp_path, "ids.txt", "\ufeff007\r\n\r\n a b \nlast".encode())
    assert read_ids(listed) == ["007", " a b ", "last"]


def test_the_list_of_the_erased_names_nobody_and_is_needed(project: Settings) -> None:
    erase(project, [GONE])
    text = erased_path(project.store).read_text()
    assert GONE not in text
    erased = read_erased(project.store)
    assert erased.has(GONE)
    assert not erased.has(KIN)
    frame = pl.DataFrame({"user_id": [GONE, KIN, None, "u1"]})
    assert erased_filter(project.store)(frame)["user_id"].to_list() == [KIN, None, "u1"]
    kept = frame.filter(pl.col("user_id") != GONE)
    assert erased_filter(project.store)(kept) is kept
    erased_path(project.store).write_text("{")
    with pytest.raises(StoreError, match="not known who was erased"):
        ingest(project)


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.text(max_size=6), min_size=1, max_size=30, unique=True),
    erased=st.lists(st.text(min_size=1, max_size=6), max_size=10),
)
@example(ids=["12", "123"], erased=["12"])
def test_the_filter_takes_out_exactly_the_erased(ids: list[str], erased: list[str]) -> None:
    erased = [*erased, ids[-1]] if ids[-1] else erased
    with tempfile.TemporaryDirectory() as name:
        store = Path(name)
        write_erased(store, read_erased(store).with_ids(erased))
        frame = pl.DataFrame({"user_id": ids}, schema={"user_id": pl.String()})
        left = erased_filter(store)(frame)["user_id"].to_list()
    assert left == [user for user in ids if user not in erased]


def _taken(path: Path, wanted: Wanted) -> tuple[int, set[str]]:
    """The rows and users that went from a file."""
    told: list[tuple[int, set[str]]] = []
    erase_from_text(path, wanted, lambda _, rows, users, __: told.append((rows, set(users))))
    return told[0] if told else (0, set())


FIELD = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="\0\r\x1c\x1d\x1e\x85\u2028\u2029\x0b\x0c"
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FIELD, st.sampled_from(["12", "123", 'a"b', "x,y", "l\nm"])), max_size=8))
def test_a_row_goes_by_its_whole_field(rows: list[tuple[str, str]]) -> None:
    wanted = Wanted(frozenset({"12", 'a"b', "l\nm"}), frozenset({"user_id"}))
    rest = [row for row in rows if row[1] not in wanted.ids]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "f.csv")
        path.write_bytes(_csv(rows))
        gone = _taken(path, wanted)
        assert path.read_bytes() == _csv(rest)
        assert gone == (len(rows) - len(rest), {user for _, user in rows} & wanted.ids)
        lines = Path(name, "f.jsonl")
        lines.write_bytes(_jsonl(rows))
        assert _taken(lines, wanted) == gone
        assert lines.read_bytes() == _jsonl(rest)


def _csv(rows: list[tuple[str, str]]) -> bytes:
    target = io.StringIO()
    writer = csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("note", "user_id"), *rows])
    return target.getvalue().encode()


def _jsonl(rows: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"n": n, "user_id": u}) + "\n" for n, u in rows).encode()


def test_rows_of_json_and_html_go_by_the_users_column(tmp_path: Path) -> None:
    wanted = Wanted(frozenset({"12"}), frozenset({"user_id"}))
    page = tmp_path / "p.html"
    row = "<tr><td>{}</td><td>12</td></tr>"
    counts = "<table><tr><th>n</th><th>users</th></tr>" + row.format(3) + "</table>"
    head = "<table><thead><tr><th>user_id</th><th>n</th></tr></thead>"
    people = head + row.format(12) + row.format(123) + "</table>"
    page.write_text(counts + people)
    assert _taken(page, wanted) == (1, {"12"})
    assert page.read_text() == counts + head + row.format(123) + "</table>"
    data = tmp_path / "d.json"
    data.write_text('{"n": 12, "top": [{"user_id": 12}, {"user_id": "123"}, null], "of": "12"}')
    assert _taken(data, wanted) == (1, {"12"})
    assert json.loads(data.read_text()) == {
        "n": 12,
        "top": [{"user_id": "123"}, None],
        "of": "12",
    }


@pytest.mark.parametrize(
    ("raw", "column", "holds"),
    [
        ('{"user": "12", "n": "7"}', "user", {"12"}),
        ('{"user": 12}', "user", {"12"}),
        ('{"user": "123", "n": "12"}', "user", {"123"}),
        ('{"user": "12", "note": "cut off he', "user", {"12"}),
        ("a,12,b", "user", {"12", "a"}),
        ('a;"x, y";b', "user", {"x, y"}),
        (None, "user", set()),
    ],
)
def test_the_ids_in_a_rejected_row(raw: str | None, column: str, holds: set[str]) -> None:
    found = ids_in(raw, column)
    assert holds <= found
    assert "1" not in found
    if raw and raw.endswith("}"):
        assert found == holds
