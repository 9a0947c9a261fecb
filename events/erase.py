"""A person taken out of everything that Holdfast has written, with a receipt.

Rows go from every table of the store, whichever floor wrote it, and the versions before are
deleted; then from the files of the exports and the tracking folder. What is derived and holds
no rows of its own (sequences, staged work) is deleted whole: it is made again when asked for.
The sources are not ours: the person's keyed hash stays, and keeps him out of later ingests.

Every step may be cut off and done again: run again it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from events.erase_journal import Journal
from events.erase_tables import ErasedTable, erase_from_parquet, erase_from_table, table_folders
from events.erase_text import Wanted, erase_from_text, holds_any
from events.erased import erased_path, read_erased, write_erased
from events.store import events_path
from runtime.errors import InputError, StoreError, UsageError
from runtime.files import remove_drafts_below, remove_folder, write_json
from runtime.lock import writing_to
from runtime.progress import progress, say
from runtime.settings import Settings
from runtime.tables import exists

DERIVED = ("sequences", ".staging")
LONG_ENOUGH = 6  # characters: a shorter id is found by chance in the bytes of any large file


@dataclass(frozen=True)
class Receipt:
    """What went from where. `users`: the keyed hash of each id, and whether anything of it was
    found; `files`: rows by file outside the tables; `deleted`: folders; `left`: files in which
    an id still stands, though not as the user of a row."""

    at: datetime
    found: bool
    rows: int
    users: dict[str, bool]
    tables: tuple[ErasedTable, ...]
    files: dict[str, int]
    deleted: tuple[str, ...]
    left: tuple[str, ...]
    path: Path


@dataclass(frozen=True)
class _Job:
    settings: Settings
    wanted: Wanted
    folders: tuple[Path, ...]  # beside the store: exports, tracking and what else was named


def erase(settings: Settings, user_ids: Sequence[str], also: Sequence[Path] = ()) -> Receipt:
    """Takes these users out of the store, the exports and the tracking folder, and out of the
    folders `also`, where exports were written elsewhere.

    Memory: a file of a table. Raises UsageError where no id is named, InputError where `also`
    names no folder, StoreError where there is no store or another process writes to it,
    OutputError.
    """
    ids = frozenset(user_ids) - {""}
    if not ids:
        raise UsageError("erase: no user is named; give --user ID or --users-from FILE")
    if not exists(events_path(settings)):
        raise StoreError(f"{settings.store}: there is no store here; check project.store")
    for folder in also:
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder; name one that holds exports")
    columns = {"user_id", *(source.columns.user_id for source in settings.source)}
    if settings.users is not None:
        columns.add(settings.users.columns.user_id)
    folders = (settings.exports, settings.tracking, *also)
    job = _Job(settings, Wanted(ids, frozenset(columns)), folders)
    with writing_to(settings.store):
        return _erase(job)


def read_ids(path: Path) -> list[str]:
    """Ids one a line, as they are; empty lines are skipped. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name another file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    return [line.removesuffix("\r") for line in lines if line.removesuffix("\r")]


def _erase(job: _Job) -> Receipt:
    store = job.settings.store
    erased = read_erased(store).with_ids(sorted(job.wanted.ids))
    write_erased(store, erased)  # first, so that nothing brings back what is taken out below
    journal = Journal(receipts(store), erased, job.wanted.ids)
    deleted = _delete_derived(store)
    tables = tuple(_from_tables(job, journal))
    _from_files(job, journal)
    at = datetime.now(UTC)
    path = receipts(store) / f"{at:%Y%m%dT%H%M%S.%fZ}.json"
    receipt = Receipt(
        at=at,
        found=bool(journal.users),
        rows=sum(table.rows for table in tables) + sum(journal.files.values()),
        users={mark: mark in journal.users for mark in map(erased.mark, sorted(job.wanted.ids))},
        tables=tables,
        files=dict(journal.files),
        deleted=deleted,
        left=tuple(_left(job)),
        path=path,
    )
    write_json(path, asdict(receipt) | {"at": at.isoformat(), "path": path.name})
    journal.close()
    _tell(receipt)
    return receipt


def receipts(store: Path) -> Path:
    return store / "erasures"


def _delete_derived(store: Path) -> tuple[str, ...]:
    """Raises StoreError where a process is at work in one of the folders."""
    for folder in (store / ".staging").glob("*/"):
        with writing_to(folder):
            pass
    folders = [store / name for name in DERIVED if (store / name).exists()]
    for folder in folders:
        remove_folder(folder)
    return tuple(folder.name for folder in folders)


def _from_tables(job: _Job, journal: Journal) -> Iterator[ErasedTable]:
    folders = table_folders(job.settings.store)
    columns = {source.name: source.columns.user_id for source in job.settings.source}
    with progress("erasing from tables", len(folders), "tables") as advance:
        for folder in folders:
            done = erase_from_table(folder, job.wanted.ids, columns, journal.note)
            noted = journal.tables.get(done.table)
            if noted is None or noted.version is None:
                yield done
            else:  # in this run, or in one that was cut off
                yield replace(done, rows=noted.rows, version_before=noted.version)
            advance()


def _from_files(job: _Job, journal: Journal) -> None:
    files = list(_loose_files(job))
    with progress("erasing from files", len(files), "files") as advance:
        for path in files:
            how = erase_from_parquet if path.suffix == ".parquet" else erase_from_text
            how(path, job.wanted, journal.note)
            advance()


def _loose_files(job: _Job) -> Iterator[Path]:
    """All files but those of tables and the list of the erased itself."""
    store = job.settings.store
    tables = set(table_folders(store))
    for folder in (store, *job.folders):
        remove_drafts_below(folder)
        for path in sorted(folder.rglob("*")):
            ours = path == erased_path(store) or path.parent == receipts(store)
            if path.is_file() and not ours and not tables & set(path.parents):
                yield path


def _left(job: _Job) -> Iterator[str]:
    long = frozenset(user for user in job.wanted.ids if len(user) >= LONG_ENOUGH)
    if long:
        for path in _loose_files(job):
            if path.suffix != ".parquet" and holds_any(path, Wanted(long, job.wanted.columns)):
                yield str(path)


def _tell(receipt: Receipt) -> None:
    unknown = sum(not found for found in receipt.users.values())
    if unknown:
        say(
            f"erase: of {unknown:,} of {len(receipt.users):,} users nothing was found; they are "
            "kept out of later ingests all the same"
        )
    for path in receipt.left:
        say(f"{path}: an id still stands in it, not as the user of a row; look at it yourself")


__all__ = ["ErasedTable", "Receipt", "erase", "read_ids"]
