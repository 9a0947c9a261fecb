"""Files that are either whole or absent."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from runtime.errors import OutputError, from_foreign

CHUNK_BYTES = 1 << 20


def write_atomic(path: Path, write: Callable[[Path], None]) -> Path:
    """Calls `write` on a sibling of `path`, flushes it to disk and renames it into place.

    A process killed at any moment leaves either the old file, the new one, or none. Raises
    OutputError where the disk is full or the folder cannot be written.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        write(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except Exception as error:
        if known := from_foreign(error, str(path)):
            raise known from error
        raise
    finally:
        if draft.exists():  # on a read-only disk to remove even what is not there is an error
            draft.unlink()
    return path


def remove_drafts(path: Path) -> None:
    """Removes what processes killed in `write_atomic` have left beside `path`."""
    _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.*.draft"))


def remove_drafts_below(folder: Path) -> None:
    """Removes what they have left anywhere in the folder."""
    _remove_dead(folder.rglob(".*.draft"))


def _remove_dead(drafts: Iterable[Path]) -> None:
    for draft in drafts:
        process = draft.name.removesuffix(".draft").rpartition(".")[2]
        if not Path("/proc", process).exists():
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    return write_atomic(path, lambda draft: _write_utf8(draft, text))


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> Path:
    return write_text(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def digest_file(path: Path) -> str:
    """SHA-256 of the file's bytes, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of_bytes(held: bytes) -> str:
    """The same of a file that is in memory."""
    return hashlib.sha256(held).hexdigest()


def digest_of(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of SHA-256 of a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def make_folder(path: Path) -> Path:
    """Raises OutputError where something that is not a folder stands in the way, where the disk
    is full or the folder above cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputError(f"{path}: is not a folder; choose another one") from None
    except OSError as error:
        raise from_foreign(error, str(path)) or error from error
    return path


def remove_folder(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
