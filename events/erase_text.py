"""People taken out of text files: CSV, JSON lines, JSON and the tables of HTML pages.

A row goes where its user column *is* one of the ids, never where a text only contains one; all
other bytes of the file stay as they are.
"""

from __future__ import annotations

import csv
import html
import json
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from events.erase_journal import Note
from runtime.files import digest_file, write_atomic, write_json

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
FEW = 50  # ids: more are not looked for one by one
MANIFEST = ".manifest.json"
FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_TABLE = re.compile(r"<table\b.*?</table\s*>", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"<tr\b.*?</tr\s*>", re.DOTALL | re.IGNORECASE)
_WORD = re.compile(rb"""[^\s"',;:<>(){}\[\]]+""")
_CELL = re.compile(r"<t[dh]\b[^>]*>(.*?)</t[dh]\s*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """The ids to look for, and what the column of a user may be called."""

    ids: frozenset[str]
    columns: frozenset[str]

    @property
    def needles(self) -> list[bytes]:
        """What a file that holds one of the ids holds, however it is spelled in it."""
        spelled = {s for i in self.ids for s in (i, html.escape(i), *_in_json(i), _quoted(i))}
        return [text.encode() for text in spelled]


def _in_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _quoted(text: str) -> str:
    return text.replace('"', '""')


def erase_from_text(path: Path, wanted: Wanted, note: Note) -> None:
    """Takes the rows of these ids out of the file and makes its manifest fit.

    Memory: a row of CSV or JSON lines, the whole of a JSON or HTML file. Raises OutputError.
    """
    how = _how(path)
    if how is None or path.name.endswith(MANIFEST) or not _may_hold(path, wanted):
        return
    gone: dict[str, int] = {}

    def write(draft: Path) -> None:
        with path.open("rb") as source, draft.open("wb") as target:
            how(source, target, wanted, gone)
        note(str(path), sum(gone.values()), set(gone), None)
        if path.with_name(path.name + MANIFEST).exists():
            # Before the file itself: cut off here, a rerun finds the ids and comes by again.
            _fit_manifest(path, draft, gone)

    if _has_rows(path, how, wanted):
        write_atomic(path, write)


Eraser = Callable[[BinaryIO, BinaryIO | None, Wanted, dict[str, int]], None]


def _how(path: Path) -> Eraser | None:
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        return lambda s, t, w, g: _delimited(s, t, w, g, DELIMITERS[suffix])
    if suffix in LINES:
        return _lines
    return {".json": _json, ".html": _html, ".htm": _html}.get(suffix)


def _may_hold(path: Path, wanted: Wanted) -> bool:
    """Whether the bytes of one of a few ids are in the file: most files need no closer look."""
    if len(wanted.ids) > FEW:
        return True
    with _bytes_of(path) as content:
        return any(content.find(needle) >= 0 for needle in wanted.needles)


def holds_any(path: Path, wanted: Wanted) -> bool:
    """Whether one of the ids stands in the file as a word of its own, in whatever place."""
    words = {needle for needle in wanted.needles if _WORD.fullmatch(needle)}
    others = [needle for needle in wanted.needles if needle not in words]
    with _bytes_of(path) as content:
        return any(found.group() in words for found in _WORD.finditer(content)) or any(
            content.find(needle) >= 0 for needle in others
        )


@contextmanager
def _bytes_of(path: Path) -> Iterator[mmap.mmap]:
    """The file as it lies on the disk; an empty one cannot be mapped."""
    if not path.stat().st_size:
        yield mmap.mmap(-1, 1)
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _has_rows(path: Path, how: Eraser, wanted: Wanted) -> bool:
    found: dict[str, int] = {}
    with path.open("rb") as source:
        how(source, None, wanted, found)
    return bool(found)


def _delimited(
    source: BinaryIO,
    target: BinaryIO | None,
    wanted: Wanted,
    gone: dict[str, int],
    delimiter: str,
) -> None:
    place: int | None = None
    for number, record in enumerate(_records(source)):
        if number == 0:
            header = _fields(record, delimiter)
            place = next((i for i, name in enumerate(header) if name in wanted.columns), None)
        elif place is not None:
            fields = _fields(record, delimiter)
            user = fields[place] if place < len(fields) else None
            if user in wanted.ids:
                gone[user] = gone.get(user, 0) + 1
                continue
        if target is not None:
            target.write(record)


def _records(source: BinaryIO) -> Iterator[bytes]:
    """Lines, put together again where a quoted field runs over line ends."""
    held = b""
    for line in source:
        held += line
        if held.count(b'"') % 2 == 0:
            yield held
            held = b""
    if held:
        yield held


def _fields(record: bytes, delimiter: str) -> list[str]:
    text = record.decode("utf-8-sig", "replace")
    return next(iter(csv.reader(text.splitlines(keepends=True), delimiter=delimiter)), [])


def _lines(source: BinaryIO, target: BinaryIO | None, wanted: Wanted, gone: dict[str, int]) -> None:
    for line in source:
        user = _user_of(_parsed(line), wanted)
        if user is not None:
            gone[user] = gone.get(user, 0) + 1
        elif target is not None:
            target.write(line)


def _json(source: BinaryIO, target: BinaryIO | None, wanted: Wanted, gone: dict[str, int]) -> None:
    content = source.read()
    left = _without(_parsed(content), wanted, gone)
    if target is not None:
        target.write(json.dumps(left, indent=2, ensure_ascii=False).encode() + b"\n")


def _without(value: Any, wanted: Wanted, gone: dict[str, int]) -> Any:
    """`value` with the objects of these users left out of lists, and null elsewhere."""
    if isinstance(value, dict):
        user = _user_of(value, wanted)
        if user is None:
            return {name: _without(v, wanted, gone) for name, v in value.items()}
        gone[user] = gone.get(user, 0) + 1
        return None
    if isinstance(value, list):
        kept = ((v, _without(v, wanted, gone)) for v in value)
        return [left for v, left in kept if left is not None or v is None]
    return value


def _user_of(value: Any, wanted: Wanted) -> str | None:
    if isinstance(value, dict):
        for column in wanted.columns:
            if column in value and str(value[column]) in wanted.ids:
                return str(value[column])
    return None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _html(source: BinaryIO, target: BinaryIO | None, wanted: Wanted, gone: dict[str, int]) -> None:
    text = source.read().decode("utf-8", "surrogateescape")
    left = _TABLE.sub(lambda table: _table(table.group(), wanted, gone), text)
    if target is not None:
        target.write(left.encode("utf-8", "surrogateescape"))


def _table(table: str, wanted: Wanted, gone: dict[str, int]) -> str:
    """The table without these users' rows, where a column of its is one of a user."""
    head = _ROW.search(table)
    names = _cells(head.group()) if head else []
    place = next((i for i, name in enumerate(names) if name in wanted.columns), None)

    def stays(row: re.Match[str]) -> str:
        cells = _cells(row.group())
        user = cells[place] if place is not None and place < len(cells) else None
        if user not in wanted.ids:
            return row.group()
        gone[user] = gone.get(user, 0) + 1
        return ""

    return table if place is None else _ROW.sub(stays, table)


def _cells(row: str) -> list[str]:
    return [html.unescape(cell).strip() for cell in _CELL.findall(row)]


def _fit_manifest(path: Path, draft: Path, gone: Mapping[str, int]) -> None:
    """Makes the manifest say of the file what is true once `draft` is in its place."""
    manifest = path.with_name(path.name + MANIFEST)
    said = json.loads(manifest.read_text(encoding="utf-8"))
    if said.get("sha256") == digest_file(draft):
        return  # an earlier run was cut off between the two
    formulas = sum(n for user, n in gone.items() if user.startswith(FORMULA_START))
    said |= {"sha256": digest_file(draft), "bytes": draft.stat().st_size}
    said["rows"] -= sum(gone.values())
    if "formula_like_user_ids" in said:
        said["formula_like_user_ids"] -= formulas
    write_json(manifest, said)
