"""What was ingested under which path: a file beside the tables, written ahead of each commit.

The tables say what is in the store; the ledger only remembers the digests a path has had and
the time format of a source, so an entry for a commit that never happened is harmless.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import StoreError
from runtime.files import write_json

LEDGER_VERSION = 1


@dataclass(frozen=True)
class Held:
    """A file: its usable rows, the instants of the first and last of them (ISO 8601), and in
    which of the ingests with new files it came."""

    path: str
    rows: int
    first: str
    last: str
    run: int


@dataclass
class Ledger:
    """`files`: source to path to digests, oldest first. `formats`: "source/column" to the time
    format that was found. `users`: the digest of what the users table was written from.
    `contents`: source to digest to what the file held. `currencies`: the one that amounts
    have named, with the file that did so first."""

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
    users: str | None = None
    contents: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)

    def add(self, source: str, path: str, digest: str) -> None:
        digests = self.files.setdefault(source, {}).setdefault(path, [])
        if digest not in digests:
            digests.append(digest)

    def tell(self, source: str, digest: str, held: Held) -> None:
        self.contents.setdefault(source, {})[digest] = asdict(held)

    def held(self, source: str) -> dict[str, Held]:
        """What each file of a source held, by digest."""
        return {digest: Held(**said) for digest, said in self.contents.get(source, {}).items()}

    def next_run(self) -> int:
        runs = [said["run"] for files in self.contents.values() for said in files.values()]
        return max(runs, default=0) + 1

    def digests(self, source: str, path: str) -> list[str]:
        return self.files.get(source, {}).get(path, [])


def ledger_path(store: Path) -> Path:
    return store / "ingested.json"


def read_contents(store: Path) -> dict[str, dict[str, Held]]:
    """By source and digest, for who only looks; empty where nothing was ingested. The file is
    replaced whole, so it is read without the lock. Raises StoreError."""
    path = ledger_path(store)
    if not path.exists():
        return {}
    ledger = _parsed(path)
    return {source: ledger.held(source) for source in ledger.contents}


def read_ledger(store: Path) -> Ledger:
    """Under the store's lock: drafts of killed runs are removed. Raises StoreError."""
    path = ledger_path(store)
    for draft in store.glob(f".{path.name}.*.draft"):
        draft.unlink()
    return _parsed(path) if path.exists() else Ledger()


def _parsed(path: Path) -> Ledger:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found.pop("version")
        if version != LEDGER_VERSION:
            raise StoreError(
                f"{path}: has version {version}, this Holdfast reads version {LEDGER_VERSION}; "
                "ingest the sources into a new store"
            )
        return Ledger(**found)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreError(f"{path}: cannot be read; ingest the sources into a new store") from None


def write_ledger(store: Path, ledger: Ledger) -> None:
    content = {
        "version": LEDGER_VERSION,
        "files": ledger.files,
        "formats": ledger.formats,
        "users": ledger.users,
        "contents": ledger.contents,
        "currencies": ledger.currencies,
    }
    write_json(ledger_path(store), content)
