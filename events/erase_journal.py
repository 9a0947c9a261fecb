"""What an erasure has set about, written down before it is done.

A run that was cut off and is run again finds in the tables only what was left to do; with this
its receipt tells the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from events.erased import Erased
from runtime.files import digest_of, write_json

Note = Callable[[str, int, Set[str], int | None], None]
"""Told of the place, the rows that are about to go, their users and the table's version."""


@dataclass(frozen=True)
class Noted:
    """`users`: their keyed hashes; `version`: the table's before, None for a file."""

    rows: int
    users: tuple[str, ...]
    version: int | None


class Journal:
    """The journal of erasing these ids, in a file that bears no trace of them but hashes."""

    def __init__(self, folder: Path, erased: Erased, ids: Set[str]) -> None:
        self._erased = erased
        self._path = folder / f".unfinished-{digest_of(sorted(map(erased.mark, ids)))}.json"
        self._noted: dict[str, Noted] = {}
        if self._path.exists():
            found = json.loads(self._path.read_text(encoding="utf-8"))
            for place, (rows, users, version) in found.items():
                self._noted[place] = Noted(rows, tuple(users), version)

    def note(self, place: str, rows: int, users: Set[str], version: int | None = None) -> None:
        marks = tuple(sorted(map(self._erased.mark, users)))
        self._noted[place] = Noted(rows, marks, version)
        content = {p: [n.rows, n.users, n.version] for p, n in self._noted.items()}
        write_json(self._path, content)

    @property
    def tables(self) -> Mapping[str, Noted]:
        return {p: n for p, n in self._noted.items() if n.version is not None}

    @property
    def files(self) -> Mapping[str, int]:
        return {p: n.rows for p, n in self._noted.items() if n.version is None}

    @property
    def users(self) -> Set[str]:
        return {mark for noted in self._noted.values() for mark in noted.users}

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
