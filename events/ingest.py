"""Sources to the event store: each file once, all or nothing.

Files are known by the SHA-256 of their contents and recorded in the commit that adds their
rows. New files are staged, then added bucket by bucket in one commit; both can go to a cluster,
and a killed run takes up what is finished. Memory holds a batch or a few buckets, never the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from events.adding import add_staged, discard_unfinished
from events.contract import EVENTS, QUARANTINE
from events.erased import read_erased
from events.layout import buckets_for, estimate_rows
from events.ledger import Held, Ledger, read_ledger, write_ledger
from events.money import check_one_currency
from events.readers import InputFile
from events.reasons import say_refused, say_unmatched
from events.sources import FoundSource, find_sources, found_formats, plan_of, time_bounds
from events.staging import NewFile, Staged, check_columns_seen, stage
from events.store import BUCKETS, CPU, events_path
from events.users import commit_users, read_users
from runtime.cluster import IN_PROCESS, Cluster, connected
from runtime.collect import collect
from runtime.errors import HoldfastError, InputError, OutputError, StoreError, from_foreign
from runtime.files import digest_file, remove_folder
from runtime.lock import writing_to
from runtime.progress import say
from runtime.settings import Settings
from runtime.tables import Table, committed, exists, open_table, recorded, replace
from runtime.threads import in_threads

HASHED_AT_ONCE = 4


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


def ingest(settings: Settings, cluster: Cluster = IN_PROCESS) -> IngestResult:
    """Raises InputError, SchemaError, StoreError, SettingsError, OutputError, BucketError or
    ClusterError; the store is then as it was."""
    try:
        sources = find_sources(settings)
        time_bounds(settings)
        _check_store(settings)
        with writing_to(settings.store), connected(cluster) as started:
            return _ingest(settings, sources, started)
    except OutputError:
        _discard(settings)  # it may be what fills the disk
        raise
    except HoldfastError:
        raise
    except Exception as error:
        if known := from_foreign(error, str(settings.store)):
            _discard(settings)
            raise known from error
        raise


def _discard(settings: Settings) -> None:
    """Deletes what was staged, and written beside the events, and not committed."""
    path = events_path(settings)
    stored = open_table(path, EVENTS) if exists(path) else None
    discard_unfinished(path, stored, staging_path(settings))
    remove_folder(staging_path(settings))


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


def _ingest(settings: Settings, sources: Sequence[FoundSource], cluster: Cluster) -> IngestResult:
    ledger = read_ledger(settings.store)
    new = _new_files(settings, sources, ledger)
    buckets = _number_of_buckets(settings, new)
    users = read_users(settings, ledger, buckets)
    staged = _stage_all(settings, sources, new, ledger, buckets, cluster)
    _check_currency(ledger, staged)
    files = sum(len(found.files) for found in sources)
    for file in new:
        ledger.add(file.found.source.name, file.file.shown, file.digest)
    _tell_contents(ledger, staged)
    if new:
        write_ledger(settings.store, ledger)
    if users is not None:
        commit_users(settings, users, ledger)
    added = _commit(settings, staged, buckets, cluster) if staged else 0
    say_refused(staged)
    _discard(settings)
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


def _check_currency(ledger: Ledger, staged: Sequence[Staged]) -> None:
    """Raises InputError where amounts are of two; remembers the one."""
    seen = [
        (currency, one.new.file.shown, text)
        for one in staged
        for currency, text in one.summary.currencies.items()
    ]
    told = [(currency, f"'{text}' in {file}") for currency, file, text in seen]
    check_one_currency([*ledger.currencies.items(), *told])
    for currency, file, _ in seen:
        ledger.currencies.setdefault(currency, file)


def _tell_contents(ledger: Ledger, staged: Sequence[Staged]) -> None:
    """What each file holds, for who looks at how the log has come together."""
    run = ledger.next_run()
    for one in staged:
        summary, new = one.summary, one.new
        if summary.first and summary.last:
            rows = summary.usable - summary.erased
            held = Held(new.file.shown, rows, summary.first, summary.last, run)
            ledger.tell(new.plan.source.name, new.digest, held)


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
    cluster: Cluster,
) -> list[Staged]:
    files: list[NewFile] = []
    for found in sources:
        of_source = [n for n in new if n.found is found]
        if of_source:
            plan = plan_of(found, [n.file for n in of_source], ledger.formats, settings)
            ledger.formats |= found_formats(plan)
            files += [NewFile(plan, n.file, n.digest) for n in of_source]
    erased = read_erased(settings.store)
    staged = stage(files, buckets, staging_path(settings) / "files", erased, cluster)
    say_unmatched(staged, [name for name, files in ledger.files.items() if files])
    for plan in {file.plan.source.name: file.plan for file in files}.values():
        if not ledger.files.get(plan.source.name):
            check_columns_seen(plan, [done for done in staged if done.new.plan is plan])
    return staged


def _commit(settings: Settings, staged: Sequence[Staged], buckets: int, cluster: Cluster) -> int:
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
        [file_key(s.new.plan.source.name, s.new.digest) for s in staged],
        {BUCKETS: buckets},
        staging_path(settings),
        cluster,
    )


def _commit_rejects(settings: Settings, staged: Sequence[Staged]) -> None:
    path = quarantine_path(settings)
    parts = [(s, part) for s in staged for part in s.reject_parts]
    if not parts and not exists(path):
        return
    replace(path, QUARANTINE, (_quarantined(s, part) for s, part in parts), _theirs(staged))


def _theirs(staged: Sequence[Staged]) -> str:
    """The predicate of rows that an interrupted run may have left of these files."""
    named = ", ".join(f"'{s.new.digest}'" for s in staged)
    sources = ", ".join(f"'{name}'" for name in sorted({s.new.plan.source.name for s in staged}))
    return f"source IN ({sources}) AND file_digest IN ({named})"


def _quarantined(staged: Staged, part: Path) -> pl.DataFrame:
    return pl.read_parquet(part).with_columns(
        source=pl.lit(staged.new.plan.source.name),
        file=pl.lit(staged.new.file.shown),
        file_digest=pl.lit(staged.new.digest),
    )


def _count_users(table: Table) -> int:
    """A bucket that lies in one file is in order, so its users are runs of rows."""
    user = pl.col("user_id")
    runs = (user != user.shift()).sum() + (pl.len() > 0)
    found = [
        table.scan(bucket=bucket).select(
            users=runs if table.in_one_file(bucket=bucket) else user.n_unique()
        )
        for bucket in table.partitions("bucket")
    ]
    return sum(collect(plan, CPU).item() for plan in found)
