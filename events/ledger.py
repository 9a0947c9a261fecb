"""What was ingested under which path: a file beside the tables, written ahead of each commit.

The tables say what is in the store; the ledger only remembers the digests a path has had and
the time format of a source, so an entry for a commit that never happened is harmless.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import StoreError
from runtime.files import write_json

LEDGER_VERSION = 1


@dataclass
class Ledger:
    """`files`: source to path to digests, oldest first. `formats`: "source/column" to the time
    format that was found. `users`: the digest of what the users table was written from."""

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
    users: str | None = None

    def add(self, source: str, path: str, digest: str) -> None:
        digests = self.files.setdefault(source, {}).setdefault(path, [])
        if digest not in digests:
            digests.append(digest)

    def digests(self, source: str, path: str) -> list[str]:
        return self.files.get(source, {}).get(path, [])


def ledger_path(store: Path) -> Path:
    return store / "ingested.json"


def read_ledger(store: Path) -> Ledger:
    """Under the store's lock: drafts of killed runs are removed. Raises StoreError."""
    path = ledger_path(store)
    for draft in store.glob(f".{path.name}.*.draft"):
        draft.unlink()
    if not path.exists():
        return Ledger()
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
    }
    write_json(ledger_path(store), content)
