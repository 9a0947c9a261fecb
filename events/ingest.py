"""Sources to the event store: each file once, all or nothing.

Files are known by the SHA-256 of their contents and recorded in the commit that adds their
rows. New files are staged one by one (a killed run takes up the finished ones) and then added,
bucket by bucket, in one commit: memory holds a batch or a few buckets, never the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from events.adding import add_staged
from events.contract import EVENTS, QUARANTINE
from events.erased import Erased, read_erased
from events.layout import buckets_for, estimate_rows
from events.ledger import Ledger, read_ledger, write_ledger
from events.mapping import SourcePlan
from events.readers import InputFile
from events.sources import FoundSource, find_sources, found_formats, plan_of, time_bounds
from events.staging import Staged, check_columns_seen, stage, staged_name
from events.store import BUCKETS, CPU, events_path
from events.users import commit_users, read_users
from runtime.collect import collect
from runtime.errors import HoldfastError, InputError, OutputError, StoreError, from_foreign
from runtime.files import digest_file, remove_folder
from runtime.lock import writing_to
from runtime.progress import progress, say
from runtime.settings import Settings
from runtime.tables import Table, committed, exists, open_table, recorded, replace
from runtime.threads import in_threads

HASHED_AT_ONCE = 4
STAGED_AT_ONCE = 2  # one file keeps hardly more than one core busy


@dataclass(frozen=True)
class IngestResult:
    """Rows are those of files not ingested before; `users` and `version` are the store's."""

    rows_read: int
    rows_added: int
    duplicates: int
    quarantined: int
    users: int
    version: int
    files_added: int
    files_skipped: int


@dataclass(frozen=True)
class _New:
    found: FoundSource
    file: InputFile
    digest: str


def quarantine_path(settings: Settings) -> Path:
    return settings.store / "quarantine"


def staging_path(settings: Settings) -> Path:
    return settings.store / ".staging" / "ingest"


def ingest(settings: Settings) -> IngestResult:
    """Raises InputError, SchemaError, StoreError, SettingsError or OutputError; the store is
    then as it was."""
    try:
        sources = find_sources(settings)
        time_bounds(settings)
        _check_store(settings)
        with writing_to(settings.store):
            return _ingest(settings, sources)
    except OutputError:
        remove_folder(staging_path(settings))  # it may be what fills the disk
        raise
    except HoldfastError:
        raise
    except Exception as error:
        if known := from_foreign(error, str(settings.store)):
            remove_folder(staging_path(settings))
            raise known from error
        raise


def _check_store(settings: Settings) -> None:
    """Raises StoreError where the store cannot take these settings' rows."""
    path = events_path(settings)
    if exists(path):
        open_table(path, EVENTS)
        found, asked = recorded(path, BUCKETS), settings.events.buckets
        if found is not None and asked is not None and found != asked:
            raise StoreError(
                f"{path}: has {found} buckets, the settings ask for {asked}; leave events.buckets "
                f"out, or run 'holdfast optimize --buckets {asked}'"
            )
    if exists(quarantine_path(settings)):
        open_table(quarantine_path(settings), QUARANTINE)


def _ingest(settings: Settings, sources: Sequence[FoundSource]) -> IngestResult:
    ledger = read_ledger(settings.store)
    new = _new_files(settings, sources, ledger)
    buckets = _number_of_buckets(settings, new)
    users = read_users(settings, ledger, buckets)
    staged = _stage_all(settings, sources, new, ledger, buckets)
    files = sum(len(found.files) for found in sources)
    for file in new:
        ledger.add(file.found.source.name, file.file.shown, file.digest)
    if new:
        write_ledger(settings.store, ledger)
    if users is not None:
        commit_users(settings, users, ledger)
    added = _commit(settings, staged, buckets) if staged else 0
    remove_folder(staging_path(settings))
    rows = sum(s.summary.rows for s in staged)
    rejected = sum(s.summary.rejected for s in staged)
    table = open_table(events_path(settings), EVENTS)
    return IngestResult(
        rows_read=rows,
        rows_added=added,
        duplicates=rows - rejected - sum(s.summary.erased for s in staged) - added,
        quarantined=rejected,
        users=_count_users(table),
        version=table.version,
        files_added=len(staged),
        files_skipped=files - len(staged),
    )


def _number_of_buckets(settings: Settings, new: Sequence[_New]) -> int:
    """The store's, once it has one; else the one asked for, or one that suits the files."""
    for decided in (recorded(events_path(settings), BUCKETS), settings.events.buckets):
        if decided is not None:
            return decided
    return buckets_for(estimate_rows((file.file.path, file.found.source) for file in new))


def file_key(source: str, digest: str) -> str:
    return f"holdfast.file.{source}.{digest}"


def _new_files(settings: Settings, sources: Sequence[FoundSource], ledger: Ledger) -> list[_New]:
    """The files whose contents the store has not; one of several equal ones."""
    found: dict[str, _New] = {}
    files = [(source, file) for source in sources for file in source.files]
    digests = in_threads(lambda each: digest_file(each[1].path), files, HASHED_AT_ONCE)
    for (source, file), digest in zip(files, digests, strict=True):
        key = file_key(source.source.name, digest)
        if key in found:
            say(f"{file.shown}: has the same content as {found[key].file.shown}; left out")
        else:
            found[key] = _New(source, file, digest)
    known = committed(events_path(settings), found)
    fresh = [new for key, new in found.items() if key not in known]
    if settings.events.deduplicate == "none":
        for new in fresh:
            _refuse_changed(settings, new, ledger)
    return fresh


def _refuse_changed(settings: Settings, new: _New, ledger: Ledger) -> None:
    """Without de-duplication a changed file would add its old rows a second time."""
    name = new.found.source.name
    earlier = ledger.digests(name, new.file.shown)
    if committed(events_path(settings), [file_key(name, digest) for digest in earlier]):
        raise InputError(
            f"{new.file.shown}: has changed since it was ingested, and events.deduplicate is "
            '"none"; put the new rows into a file of their own, or ingest into a new store'
        )


def _stage_all(
    settings: Settings,
    sources: Sequence[FoundSource],
    new: Sequence[_New],
    ledger: Ledger,
    buckets: int,
) -> list[Staged]:
    staging, work = staging_path(settings), []
    for found in sources:
        files = [n for n in new if n.found is found]
        if files:
            plan = plan_of(found, [n.file for n in files], ledger.formats, settings)
            ledger.formats |= found_formats(plan)
            work.append((plan, files))
    _keep_only(staging, {staged_name(p, f.digest, buckets) for p, files in work for f in files})
    erased, staged = read_erased(settings.store), []
    with progress("reading", None, "rows") as advance:
        for plan, files in work:
            one = partial(_stage_one, plan, buckets, staging, advance, erased)
            done = list(in_threads(one, files, STAGED_AT_ONCE))
            if not ledger.files.get(plan.source.name):
                check_columns_seen(plan, done)
            staged += done
    return staged


def _stage_one(
    plan: SourcePlan,
    buckets: int,
    staging: Path,
    advance: Callable[[float], None],
    erased: Erased,
    new: _New,
) -> Staged:
    return stage(plan, new.file, new.digest, buckets, staging, advance, erased)


def _keep_only(staging: Path, names: set[str]) -> None:
    """Removes what runs with other settings or files have left behind."""
    if staging.exists():
        for folder in staging.iterdir():
            if folder.name not in names:
                remove_folder(folder)


def _commit(settings: Settings, staged: Sequence[Staged], buckets: int) -> int:
    """Adds the staged rows in one commit; the number added.

    Rejects go first: until the files are recorded with their rows, a later run puts the same
    rejects in the place of these.
    """
    _commit_rejects(settings, staged)
    path = events_path(settings)
    return add_staged(
        path,
        staged,
        open_table(path, EVENTS) if exists(path) else None,
        buckets,
        settings.events.deduplicate,
        [file_key(s.plan.source.name, s.digest) for s in staged],
        {BUCKETS: buckets},
    )


def _commit_rejects(settings: Settings, staged: Sequence[Staged]) -> None:
    path = quarantine_path(settings)
    parts = [(s, part) for s in staged for part in s.reject_parts]
    if not parts and not exists(path):
        return
    replace(path, QUARANTINE, (_quarantined(s, part) for s, part in parts), _theirs(staged))


def _theirs(staged: Sequence[Staged]) -> str:
    """The predicate of rows that an interrupted run may have left of these files."""
    named = ", ".join(f"'{s.digest}'" for s in staged)
    sources = ", ".join(f"'{name}'" for name in sorted({s.plan.source.name for s in staged}))
    return f"source IN ({sources}) AND file_digest IN ({named})"


def _quarantined(staged: Staged, part: Path) -> pl.DataFrame:
    return pl.read_parquet(part).with_columns(
        source=pl.lit(staged.plan.source.name),
        file=pl.lit(staged.file.shown),
        file_digest=pl.lit(staged.digest),
    )


def _count_users(table: Table) -> int:
    return sum(
        collect(table.scan(bucket=bucket).select(pl.col("user_id").n_unique()), CPU).item()
        for bucket in table.partitions("bucket")
    )
