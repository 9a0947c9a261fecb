"""The users table: what is known of a user beside the log. Replaced whole when its files change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from events.columns import as_id, as_text, as_time, nulled, require
from events.contract import TIME
from events.erased import erased_filter
from events.ledger import Ledger, write_ledger
from events.readers import InputFile, find_files, read
from events.staging import bucket_of
from events.store import BUCKETS, events_path
from events.timestamps import ambiguous, detect
from runtime.counted import counted
from runtime.errors import InputError
from runtime.files import digest_file, digest_of
from runtime.settings import Settings
from runtime.settings_sources import Users
from runtime.tables import Table, TableKind, exists, open_table, recorded, rewrite, stored_kind

USERS = TableKind("users", 1, {"user_id": pl.String(), "bucket": pl.Int32()}, ("bucket",))
"""user_id and bucket; beside them attributes (Float64 where every value is a number, else
String) and dates (TIME), whose names and types the table's own schema tells; and VALID_FROM
where the users have several rows, each from its instant until the user's next one."""

VALID_FROM = "valid_from"  # TIME, null for "from always"; whatever the file calls it


@dataclass(frozen=True)
class UsersFrame:
    frame: pl.DataFrame
    digest: str
    buckets: int


def users_path(settings: Settings) -> Path:
    return settings.store / "users"


def scan_users(
    settings: Settings, bucket: int | None = None, parted_in: int | None = None
) -> pl.LazyFrame | None:
    """user_id, attributes, dates and, with several rows a user, VALID_FROM; None without a
    users table. Of a bucket: see `users_files`; join it, it may hold others too."""
    files = users_files(settings, bucket, parted_in)
    if files is None:
        return None
    if not files:
        return pl.LazyFrame(schema=stored_kind(users_path(settings)).columns)
    return pl.scan_parquet(files, hive_partitioning=False)


def users_files(
    settings: Settings, bucket: int | None = None, parted_in: int | None = None
) -> list[Path] | None:
    """The files of the users table; None where there is none. Where a bucket of `parted_in`
    (default: those of the newest log) is named: those that hold its users, which are all while
    the table is parted in another number of buckets than the log."""
    if settings.users is None or not exists(users_path(settings)):
        return None
    table: Table = open_table(users_path(settings), USERS, [BUCKETS])
    asked, found = parted_in or recorded(events_path(settings), BUCKETS), table.numbers[BUCKETS]
    whole = asked is not None and found is not None and asked != found
    return table.files_of() if whole or bucket is None else table.files_of(bucket=bucket)


def read_users(settings: Settings, ledger: Ledger, buckets: int) -> UsersFrame | None:
    """The users as the table will hold them; None where it holds them already.

    Raises InputError for a file that is not there or empty, an empty id, one that is repeated
    (with `valid_from`: repeated with the same instant), a date that cannot be read; SchemaError
    for a column that is not there.
    """
    if settings.users is None:
        return None
    users = settings.users
    files = find_files(settings, users, "users")
    depends = [users.model_dump(mode="json", exclude={"path"}), buckets]
    digest = digest_of([depends, [digest_file(file.path) for file in files]], 64)
    if ledger.users == digest and exists(users_path(settings)):
        return None
    text = pl.concat([_read_file(file, users) for file in files])
    frame = text.select(
        "user_id",
        *(_number_or_text(text[name]) for name in users.attributes),
        *(pl.Series(name, _dates(text[name], name, users)) for name in users.dates),
        *(_dates(text[n], n, users).alias(VALID_FROM) for n in _validity(users)),
    )
    _check_ids(frame)
    frame = erased_filter(settings.store)(frame)
    return UsersFrame(frame.with_columns(bucket_of(buckets)), digest, buckets)


def commit_users(settings: Settings, users: UsersFrame, ledger: Ledger) -> None:
    """Puts the users in the place of those before, in one commit."""
    kind = TableKind(USERS.name, USERS.version, dict(users.frame.schema), USERS.partition_by)
    rewrite(users_path(settings), kind, _by_bucket(users.frame), {BUCKETS: users.buckets})
    ledger.users = users.digest
    write_ledger(settings.store, ledger)


def _by_bucket(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for _, part in sorted(frame.partition_by("bucket", as_dict=True).items()):
        yield part.sort("user_id", *(name for name in part.columns if name == VALID_FROM))


def _validity(users: Users) -> tuple[str, ...]:
    return () if users.valid_from is None else (users.valid_from,)


def _read_file(file: InputFile, users: Users) -> pl.DataFrame:
    called = f"users, {file.shown}"
    wanted = [*users.attributes, *users.dates, *_validity(users)]
    frames, skipped = [], []
    for batch in read(file.path, users):
        skipped += batch.rejects.rows(named=True)
        if not batch.rows.height:
            continue
        require(called, [users.columns.user_id], batch.rows.columns, "users.columns")
        require(called, wanted, batch.rows.columns, "users")
        frames.append(_as_texts(batch.rows, users, called))
    if not frames:
        raise InputError(f"{file.shown}: holds no row; correct users.path or fetch it again")
    if skipped:
        first = min(skipped, key=lambda reject: int(reject["line"]))
        raise InputError(f"{file.shown}, line {first['line']}: {first['reason']}; correct the file")
    return pl.concat(frames)


def _as_texts(rows: pl.DataFrame, users: Users, called: str) -> pl.DataFrame:
    rows = nulled(rows, users.null_values)
    schema, column = rows.schema, users.columns.user_id
    texts = [as_text(name, schema[name]).alias(name) for name in users.attributes]
    for name in (*users.dates, *_validity(users)):
        if schema[name].is_temporal():
            native = as_time(name, schema[name], "auto", users.timezone)
            texts.append(native.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+0000").alias(name))
        else:
            texts.append(as_text(name, schema[name]).alias(name))
    return rows.select(as_id(column, schema[column], called).alias("user_id"), *texts)


def _number_or_text(values: pl.Series) -> pl.Series:
    numbers = values.str.strip_chars().cast(pl.Float64(), strict=False)
    finite = (numbers.is_finite() | values.is_null()).fill_null(value=False)
    if values.count() and finite.all():
        return numbers
    # A number is written alike whether or not the others are, which may be known only later.
    return values.zip_with(~numbers.is_finite().fill_null(value=False), values.str.strip_chars())


def _dates(values: pl.Series, name: str, users: Users) -> pl.Series:
    known = values.drop_nulls()
    if known.is_empty():
        return pl.Series(name, [None] * len(values), TIME)
    called = f"users, column '{name}'"
    decided = users.time_format
    if decided == "auto":
        decided = detect(known.unique(maintain_order=True), called) or ""
        if not decided:
            raise ambiguous(known, called)
    read_as = as_time(name, pl.String(), decided, users.timezone)
    times = values.alias(name).to_frame().select(read_as)[name]
    unread = values.filter(times.is_null() & values.is_not_null())
    if len(unread):
        raise InputError(
            f"{called}: unreadable time {unread[0]!r}; expected {decided}; correct the file or "
            "list it in users.null_values"
        )
    return times


def _check_ids(frame: pl.DataFrame) -> None:
    ids = frame["user_id"]
    empty = ids.is_null() | (ids.str.strip_chars() == "")
    if empty.any():
        rows = counted(int(empty.sum()), "rows")
        raise InputError(f"users: no user id in {rows}; remove such rows from the file")
    in_time = VALID_FROM in frame.columns
    key = ["user_id", VALID_FROM] if in_time else ["user_id"]
    doubled = ids.filter(frame.select(key).is_duplicated())
    if len(doubled) and in_time:
        raise InputError(
            f"users: user id '{doubled[0]}' has several rows that are valid from the same instant "
            f"({doubled.n_unique():,} such ids); keep one of them"
        )
    if len(doubled):
        raise InputError(
            f"users: user id '{doubled[0]}' occurs more than once "
            f"({doubled.n_unique():,} such ids); keep one row a user, or "
            "name the column that says since when each holds as users.valid_from"
        )
