"""Files that are either whole or absent."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import OutputError, from_foreign

CHUNK_BYTES = 1 << 20


def write_atomic(path: Path, write: Callable[[Path], None]) -> Path:
    """Calls `write` on a sibling of `path`, flushes it to disk and renames it into place.

    A process killed at any moment leaves either the old file, the new one, or none. Raises
    OutputError where the disk is full or nothing can be put there.
    """
    make_folder(path.parent)
    draft = path.with_name(_draft_name(path))
    try:
        write(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        with _putting(path):
            draft.replace(path)
    except Exception as error:
        with _putting(path):  # where none can be made, that was it, whatever the library says
            draft.touch()
        if known := from_foreign(error, str(path)):
            raise known from error
        raise
    finally:
        if draft.exists():  # on a read-only disk to remove even what is not there is an error
            draft.unlink()
    return path


def check_file(path: Path, option: str) -> None:
    """Before any work is done for it: that a file can be put there. Leaves nothing behind.

    Raises OutputError, which names the option.
    """
    with _putting(path):
        if path.is_dir():
            raise OutputError(
                f"{path}: is a folder where the file should go; choose another {option}"
            )
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise OutputError(f"{above}: is not a folder; choose another {option}")
        draft = above / _draft_name(path)
        draft.touch()
        draft.unlink()


def _draft_name(path: Path) -> str:
    return f".{path.name}.{os.getpid()}.draft"


@contextmanager
def _putting(path: Path) -> Iterator[None]:
    """What the system refuses is said of `path`, not of its draft."""
    try:
        yield
    except OSError as error:
        named = OSError(error.errno, error.strerror, str(path))
        raise from_foreign(named, str(path)) or OutputError(
            f"{path}: nothing can be put there ({error.strerror}); choose another place"
        ) from error


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
    is full or nothing can be put into the folder above."""
    with _putting(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise OutputError(f"{path}: is not a folder; choose another one") from None
    return path


def remove_folder(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
